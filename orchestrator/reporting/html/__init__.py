"""One page that tells what a run found: `report.html`, self-contained, interactive, read from the run folder alone.

    write_page(run, path)

`numbers` turns a run into plain data, `words` says in sentences what they mean, `page.html.j2` shows them, `page.css`
dresses them and `page.js` draws the charts with Plotly. Nothing is fetched from anywhere: the page may be mailed.
"""

from orchestrator.reporting.html.write import write_page

__all__ = ["write_page"]
