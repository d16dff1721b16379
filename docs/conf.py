"""How Sphinx makes the documentation site of these pages: `make docs`.

Nothing in the site is fetched from another host. Mermaid charts become images when it is built.
"""

import hashlib
from pathlib import Path

import mermaidx
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vod2strmfs import __version__

project = html_title = "vod2strmfs"
version = release = __version__
project_copyright = ""
extensions = ["myst_parser"]

# A link that leads nowhere is a warning, and `make docs` takes warnings for errors.
nitpicky = True
myst_heading_anchors = 3
myst_fence_as_directive = {"mermaid"}
# A program's output is no language.
highlight_language = "none"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False


class Mermaid(SphinxDirective):
    """A chart, as an image."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """See docutils."""
        source = "\n".join(self.content)
        name = f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.svg"
        charts = Path(self.env.app.outdir, "_images")
        charts.mkdir(exist_ok=True)
        try:
            (charts / name).write_text(mermaidx.render(source).svg())
        except RuntimeError as error:
            raise self.error(str(error)) from error
        depth = "../" * self.env.docname.count("/")
        image = f'<img class="mermaid" src="{depth}_images/{name}" alt="chart">'
        return [nodes.raw("", image, format="html")]


def _without_links_to_folders(app: Sphinx, page: nodes.document) -> None:
    """The site does not have the project's folders: of a link to one, the name is left."""
    for link in list(page.findall(addnodes.pending_xref)):
        if (Path(app.env.doc2path(app.env.docname)).parent / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_directive("mermaid", Mermaid)
    app.connect("doctree-read", _without_links_to_folders)
