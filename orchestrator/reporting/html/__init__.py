"""`report.html`: a self-contained, interactive page of the results of a run.

`payload` turns a run into plain data, `orchestrator.reporting.sentences` supplies the text, `page.html.j2` is the
template, `page.css` the style. `sections` lists the sections of the page and the files of each; `scripts` has what they
share: state, methods, charts, drawn with Plotly. The page loads nothing from a network.
"""

from orchestrator.reporting.html.write import page, write_page

__all__ = ["page", "write_page"]
