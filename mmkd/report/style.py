"""How a report looks: on a desktop, a phone and paper, in light and dark."""

#: CSS without any outside reference.
STYLE = """\
:root {
  color-scheme: light dark;
  --page: #fff;
  --text: #1b1b1b;
  --muted: #5c5c5c;
  --rule: #d4d4d4;
  --link: #0b57a4;
  --alert: #a12b1f;
  --shade: #0003;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #17191c;
    --text: #e3e3e1;
    --muted: #a6a9ad;
    --rule: #3d4146;
    --link: #8ab4f0;
    --alert: #f29a8e;
    --shade: #fff3;
  }
  img { filter: brightness(0.9); }
}
* { box-sizing: border-box; }
html {
  -webkit-text-size-adjust: 100%;
  text-size-adjust: 100%;
}
body {
  max-width: 70rem;
  margin: 0 auto;
  padding: 1.5rem 1rem 3rem;
  background: var(--page);
  color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans',
    'Liberation Sans', Arial, sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, h3 { line-height: 1.25; font-weight: 600; }
h1 { margin: 0 0 1.25rem; font-size: 1.75rem; }
h2 {
  margin: 3rem 0 1rem;
  padding-top: 0.75rem;
  border-top: 1px solid var(--rule);
  font-size: 1.35rem;
}
h3 { margin: 2.25rem 0 0.5rem; font-size: 1.1rem; max-width: 46rem; }
h2 + section > h3 { margin-top: 1rem; }
p { max-width: 46rem; margin: 0.5rem 0; }
p { white-space: pre-line; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav ul ul { margin: 0.15rem 0 0.75rem; padding-left: 1.25rem; }
nav li { margin: 0.2rem 0; line-height: 1.4; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
.source, footer { color: var(--muted); font-size: 0.875rem; }
.missing { color: var(--alert); }
.pictures { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: flex-start; }
figure { min-width: 0; max-width: 100%; margin: 1rem 0; }
.pictures figure { flex: 1 1 26rem; }
figure label { display: block; overflow-x: auto; cursor: zoom-in; }
figure span, figure input { font-size: 0.875rem; vertical-align: middle; }
figure span { margin-left: 0.4rem; color: var(--muted); }
figure img {
  display: block;
  max-width: 100%;
  height: auto;
  margin-top: 0.35rem;
  background: #fff;
}
figure input:checked ~ img { max-width: none; cursor: zoom-out; }
.scroll {
  position: relative;
  width: fit-content;
  max-width: 100%;
  margin: 1rem 0;
  overflow-x: auto;
  /* A shade at the edge beyond which there is more. */
  background:
    linear-gradient(to left, var(--page) 40%, transparent) 100% 0 / 3rem 100% local,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / 1rem 100% scroll;
  background-repeat: no-repeat;
}
.long { max-height: 32rem; overflow-y: auto; }
wbr { display: none; }
table {
  border-collapse: collapse;
  border-bottom: 1px solid var(--muted);
  font-size: 0.875rem;
  line-height: 1.4;
  overflow-wrap: normal;
}
caption {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
}
th, td { padding: 0.3rem 0.6rem; text-align: left; vertical-align: baseline; }
td { max-width: 26rem; }
thead th, thead td {
  border-top: 1px solid var(--muted);
  border-bottom: 1px solid var(--muted);
  vertical-align: bottom;
}
thead th { min-width: 4.5rem; max-width: 10rem; font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tbody th { font-weight: 400; white-space: nowrap; background: var(--page); }
th:first-child, td:first-child { padding-left: 0; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
td.figure, td.short { white-space: nowrap; }
.long thead > tr > * { position: sticky; top: 0; background: var(--page); }
footer {
  margin-top: 3rem;
  padding-top: 0.75rem;
  border-top: 1px solid var(--rule);
}
@media (min-width: 70rem) {
  main section > .fits input, main section > .fits span { display: none; }
  main section > .fits label { cursor: auto; }
}
@media (max-width: 40rem) {
  wbr { display: inline; }
  h1 { font-size: 1.4rem; }
  h2 { font-size: 1.2rem; }
  tbody th {
    position: sticky;
    left: 0;
    min-width: 7.5rem;
    max-width: 9rem;
    white-space: normal;
    overflow-wrap: anywhere;
  }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff;
    --text: #000;
    --muted: #444;
    --rule: #bbb;
    --link: #000;
    --alert: #000;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  img { filter: none; }
  figure span, figure input { display: none; }
  figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll, .long { max-height: none; overflow: visible; background: none; }
  .source, footer { font-size: 8.5pt; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.15rem 0.3rem; }
  thead th { min-width: 0; }
  tbody th { position: static; white-space: normal; }
}
"""
