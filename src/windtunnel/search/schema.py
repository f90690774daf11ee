"""The store's tables: a row a decision, and a row a study that machines share."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("study", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(32), nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("worker", sa.String),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("step", sa.Integer, nullable=False, default=-1),
    sa.Column("steps", sa.Integer, nullable=False, default=0),
    sa.Column("progress_loss", sa.Float),
    sa.Column("errors", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text),
    sa.Column("result", sa.Text),
    sa.Column("loss", sa.Float),
    sa.Column("loss_se", sa.Float),
)
studies = sa.Table(
    "studies",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("data_hash", sa.String, nullable=False),
)
