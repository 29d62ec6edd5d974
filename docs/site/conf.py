"""Sphinx's settings for the site that `tools/website.py` lays out and builds."""

import pkgutil
import re

from sphinx.util.nodes import make_refnode

import kdhelpers

project = "Knowledge distillation, hands on"
author = "The kdhelpers authors"
project_copyright = "2026, the kdhelpers authors; prose and figures CC BY 4.0, code MIT"
version = release = kdhelpers.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]

# Lessons are shown as they are stored; nothing is executed and nothing is loaded from elsewhere.
nb_execution_mode = "off"
nb_render_markdown_format = "gfm"
nb_ipywidgets_js = {}
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "local"}}

myst_enable_extensions = ["dollarmath", "amsmath", "html_image", "tasklist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

default_role = "py:obj"  # `names` in docstrings
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "Knowledge distillation, hands on"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a94", "color-brand-content": "#005a94"},
    "dark_css_variables": {"color-brand-primary": "#7fc4f5", "color-brand-content": "#7fc4f5"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False  # many pages make their anchors with JavaScript


def readable(app, what, name, obj, options, lines):
    """Docstrings are plain text for `help`: say to Sphinx what is a table, code or a paragraph."""
    made, code = [], False
    if lines[:1] and lines[0].startswith("Alias for field number"):  # nobody wrote this
        lines.clear()
    for line in lines:
        after_blank = not made or not made[-1].strip()
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            if after_blank:
                made += [".. list-table::", "   :header-rows: 1", ""]
            if set("".join(cells)) != {"-"}:
                made += [f"   {'  ' if number else '* '}- {c}" for number, c in enumerate(cells)]
            continue
        if line.startswith("    ") and after_blank and not code:
            code = bool(made)
            made += ["::", ""] if code else []
        elif line.strip() and not line.startswith(" "):
            code = False
            if line.startswith(("Raises ", "Source: ", "- ")) and not after_blank:
                made += [""]
        if not code:  # neither a substitution nor the begin of something in italics
            line = re.sub(r"\*(?=\w)(?![^*]*[^\s*]\*)", r"\\*", line.replace("|", r"\|"))
        made.append(line)
    lines[:] = made


def defined(app, env, node, shown):
    """A name of the package's face or of a room leads to where the thing is defined."""
    if not re.match(r"kd(helpers)?\.", node["reftarget"]):
        return None
    try:
        thing = pkgutil.resolve_name(re.sub(r"^kd\.", "kdhelpers.", node["reftarget"]))
        name = f"{thing.__module__}.{thing.__qualname__}"
    except (ImportError, AttributeError, ValueError):
        return None
    entry = env.get_domain("py").objects.get(name)
    where = entry and (app.builder, node["refdoc"], entry.docname, entry.node_id)
    return make_refnode(*where, shown, name) if where else None


def setup(app):
    app.connect("missing-reference", defined)
    app.connect("autodoc-process-docstring", readable, priority=400)  # before napoleon
