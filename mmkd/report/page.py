"""A page of HTML that needs nothing but itself: no script, no other file, no net."""

import io
import re
from base64 import b64encode
from html import escape
from string import Template
from typing import Any, Dict, List, Sequence, Tuple

from PIL import Image

from mmkd.visualization.tables import cell_text

from .style import STYLE

#: A heading and the HTML below it.
Item = Tuple[str, str]
#: A heading over items.
Part = Tuple[str, List[Item]]

LONG = 40  # rows; a longer table scrolls in its own box
COLUMN = 1080  # pixels between the margins of a wide screen
NONE = '–'  # in a cell without a figure
SHORT = 24  # letters; a column of such cells is not wrapped
#: What stands right-aligned, so that digits of a column stand below each other.
FIGURE = re.compile(r'[-+]?[\d.,:]+(e-\d+)?( (±|to) [-+]?[\d.]+)?( %)?( \(\d+\))?')
#: The policy keeps a browser from loading or running anything, should a name from a
#: file ever get past the escaping.
PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
$style</style>
</head>
<body>
<header>
<h1>$title</h1>
</header>
<nav aria-label="Contents">
$contents
</nav>
<main>
$main
</main>
<footer>
$footer
</footer>
</body>
</html>
""")


def page(title: str, parts: Sequence[Part], footer: Sequence[str]) -> str:
    """Join parts into a page with a table of contents.

    Args:
        title (str): Of the page.
        parts (list): Headings of the second level, each with its items: headings of
            the third level and the HTML below them. Headings are text.
        footer (list[str]): Paragraphs of text.
    """
    contents, main = [], []
    for number, (head, items) in enumerate(parts, start=1):
        here = f'part-{number}'
        ids = [f'{here}-{index}' for index in range(1, len(items) + 1)]
        links = ''.join(
            f'<li>{_link(id_, name)}</li>\n' for id_, (name, _) in zip(ids, items)
        )
        contents.append(f'<li>{_link(here, head)}\n<ul>\n{links}</ul></li>')
        sections = '\n'.join(
            f'<section>\n<h3 id="{id_}">{escape(name)}</h3>\n{body}\n</section>'
            for id_, (name, body) in zip(ids, items)
        )
        main.append(
            f'<section>\n<h2 id="{here}">{escape(head)}</h2>\n{sections}\n</section>'
        )
    return PAGE.substitute(
        title=escape(title),
        style=STYLE,
        contents='<ul>\n' + '\n'.join(contents) + '\n</ul>',
        main='\n'.join(main),
        footer='\n'.join(paragraph(text) for text in footer),
    )


def paragraph(text: str, kind: str = '') -> str:
    """Return text as a paragraph; its line ends are kept."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f'<p>{escape(text)}</p>'


def picture(data: bytes, alt: str) -> str:
    """Embed a picture, which a click or a tap shows in its full size.

    Args:
        data (bytes): A file that Pillow reads.
        alt (str): What it shows.

    Raises:
        OSError or SyntaxError: Pillow's, for what is no whole picture.
    """
    with Image.open(io.BytesIO(data)) as image:
        width, height, kind = *image.size, image.get_format_mimetype()
        image.verify()
    size = f'width="{width}" height="{height}"'
    fits = ' class="fits"' if width <= COLUMN else ''
    return (
        f'<figure{fits}><label><input type="checkbox"><span>Full size</span>'
        f'<img src="{_uri(data, kind)}" {size} alt="{escape(alt)}"></label></figure>'
    )


def download(name: str, data: bytes, kind: str) -> str:
    """Embed a file as a link that saves it, with its size.

    Args:
        name (str): Of the file that is saved.
        data (bytes): Its content.
        kind (str): Its MIME type.
    """
    href = f'href="{_uri(data, kind)}"'
    return (
        f'<a download="{escape(name)}" {href}>{escape(name)}</a> '
        f'({len(data) / 1000:,.1f} kB)'
    )


def table(rows: Dict[str, Dict[str, Any]], caption: str, corner: str = '') -> str:
    """Return a table, in a box of its own that scrolls where the page is narrow.

    Args:
        rows (dict): As :func:`~mmkd.visualization.markdown_table` takes them.
        caption (str): What the table shows; for who hears the page, as the heading or
            the text above says it.
        corner (str): Head of the column of names.
    """
    columns = list(next(iter(rows.values())))
    cells = {
        name: [cell_text(row.get(column), NONE) for column in columns]
        for name, row in rows.items()
    }
    kinds = [_kind(column) for column in zip(*cells.values())]
    first = f'<th scope="col">{escape(corner)}</th>' if corner else '<td></td>'
    heads = ''.join(
        f'<th scope="col"{kind}>{escape(column)}</th>'
        for kind, column in zip(kinds, columns)
    )
    body = '\n'.join(
        f'<tr><th scope="row">{_breakable(name)}</th>'
        + ''.join(f'<td{kind}>{escape(c)}</td>' for kind, c in zip(kinds, row))
        + '</tr>'
        for name, row in cells.items()
    )
    box = 'scroll long' if len(rows) > LONG else 'scroll'
    return (
        f'<div class="{box}" role="region" aria-label="{escape(caption)}" '
        f'tabindex="0">\n<table>\n<caption>{escape(caption)}</caption>\n'
        f'<thead>\n<tr>{first}{heads}</tr>\n</thead>\n'
        f'<tbody>\n{body}\n</tbody>\n</table>\n</div>'
    )


def _kind(column: Sequence[str]) -> str:
    if any(map(FIGURE.fullmatch, column)):
        return ' class="figure"'
    return ' class="short"' if max(map(len, column)) <= SHORT else ''


def _breakable(name: str) -> str:
    return re.sub('([/_])', r'\1<wbr>', escape(name))


def _link(id_: str, text: str) -> str:
    return f'<a href="#{id_}">{escape(text)}</a>'


def _uri(data: bytes, kind: str) -> str:
    return f'data:{kind};base64,{b64encode(data).decode()}'
