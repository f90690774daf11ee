"""Plan, schedule and verdict in other people's trainers, each through one small callback."""
