"""The page's style: one readable column, light and dark, narrow screens, paper."""

from __future__ import annotations

# The palette's colours (--paper, --ink, --size-0 ...) are declared by the page itself.
STYLESHEET = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,footer{max-width:70rem;margin:0 auto;padding:2rem 1.25rem}
footer{padding-top:0;color:var(--faint);font-size:.875rem}
h1{font-size:1.9rem;line-height:1.2;margin:0}
h2{font-size:1.25rem;line-height:1.3;margin:2.75rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p{margin:.5rem 0;max-width:46rem}
.made{color:var(--faint);margin:.25rem 0 1.5rem;max-width:none}
.verdicts{list-style:none;margin:0;padding:1rem 1.25rem;background:var(--panel);border-radius:.5rem;
 font-size:1.0625rem}
.verdicts li{display:grid;grid-template-columns:1.6rem 6.5rem 1fr;padding:.3rem 0}
.verdicts b{font-weight:600}
.lead{font-size:1.125rem;max-width:none;padding:1rem 1.25rem;background:var(--panel);
 border-radius:.5rem}
.mark{font-weight:700}
.good .mark{color:var(--good)}.warn .mark{color:var(--warn)}.bad .mark{color:var(--bad)}
.next{padding:.25rem 1.25rem 0}
code{font:.925em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
 background:var(--panel);padding:.1em .35em;border-radius:.25rem;overflow-wrap:anywhere}
figure{margin:0;break-inside:avoid}
figcaption{color:var(--faint);font-size:.9375rem;max-width:46rem;margin-top:.25rem}
.scroll{overflow-x:auto}
figure svg{display:block;width:100%;min-width:38rem;height:auto}
figure svg *{stroke-linejoin:round;stroke-linecap:butt}
table{border-collapse:collapse;font-size:.9375rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--faint);padding-bottom:.35rem}
th,td{text-align:left;vertical-align:top;padding:.35rem 1.25rem .35rem 0}
tr{border-bottom:1px solid var(--grid)}
thead th{font-weight:600;white-space:nowrap}
tbody th{font-weight:400}
.number{text-align:right;white-space:nowrap}
.name{overflow-wrap:anywhere;min-width:9rem}
.why{min-width:15rem}
tbody .plan-name{font:.875em ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
summary{cursor:pointer;font-size:1rem}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.35rem 1.5rem;margin:.5rem 0}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:40rem){
 main{padding:1.25rem 1rem}
 .verdicts li{grid-template-columns:1.6rem 1fr}.verdicts li span:last-child{grid-column:2}
 dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}
}
@media print{
 body{font-size:10.5pt}main{max-width:none;padding:0}
 .scroll{overflow:visible}figure svg{min-width:0}
 h2{break-after:avoid}tr{break-inside:avoid}
 .verdicts,.lead,code{background:none;padding-left:0}
}
"""

STATES_LIGHT = "--panel:#f3f5f7;--good:#00695c;--warn:#8a5300;--bad:#b3261e;"
STATES_DARK = "--panel:#1d2229;--good:#4fd1c0;--warn:#f0b429;--bad:#ff8a80;"
