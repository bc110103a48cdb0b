"""A report as PDF: A4, page by page, with one font that is in the file. The same document gives the same bytes."""

import io
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path as FilePath
from typing import Any
from unicodedata import bidirectional, category, normalize
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
)
from reportlab.platypus import (
    Table as PrintedTable,
)

from compliance.reporting.document import Document, Figure, Section, Table, moment
from compliance.reporting.drawing import FAINT, GRID, INK, SIZE, Box, Dot, Drawing, Path, Words, draw
from compliance.reporting.page import numbers, numeric, shown
from kaireon.lib.product import NAME

# DejaVu Sans Condensed 2.37: Latin, Greek, Cyrillic, Armenian, Georgian and signs; see fonts/LICENSE.
_FONTS = FilePath(__file__).parent / "fonts"
_FACES = {"Report": "DejaVuSansCondensed.ttf", "Report-Bold": "DejaVuSansCondensed-Bold.ttf"}
# What stands for a character that cannot be shown.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A cell must fit on a page; the page and the CSV have all of it.
_MOST = 400
# What is set in large letters, or stands in the head of a table, which is on every page.
_BRIEF = 80
_MARGIN = 18 * mm
# Of a table's letters, of those under a chart, and what is free beside a column.
_LETTERS, _SMALL, _GAP = 8.5, 6.5, 6
# A chart whose numbers take so many lines stands on one page with them.
_FEW = 12
# A section begins on a page that has so much left.
_LEAST = 45 * mm
_WIDTH = A4[0] - 2 * _MARGIN


def write(document: Document) -> bytes:
    """The whole file. Texts are cut after 400 characters, and what the font has not is a replacement character.

    Scripts written from right to left are replaced as well: set in the wrong order they would say something else.
    """
    sink = io.BytesIO()
    made = document.generated_at.strftime("D:%Y%m%d%H%M%S+00'00'")

    def canvas(*args: Any, **kwargs: Any) -> Canvas:
        numbered = _Numbered(*args, **kwargs, footer=f"{_text(document.title)} · {_text(document.tenant, 60)}")
        numbered.setDateFormatter(lambda *_: made)
        numbered.setViewerPreference("DisplayDocTitle", "true")
        return numbered

    outlined = _Outlined(
        sink,
        pagesize=A4,
        invariant=1,
        lang="en",
        title=f"{_text(document.title)}, {_text(document.tenant)}",
        author=NAME,
        subject=f"{moment(document.period.start, document.zone)} to {moment(document.period.end, document.zone)}",
        creator=NAME,
    )
    outlined.addPageTemplates(
        PageTemplate(id="page", frames=[Frame(_MARGIN, _MARGIN, _WIDTH, A4[1] - 2 * _MARGIN, 0, 0, 0, 0)])
    )
    outlined.build(_story(document), canvasmaker=canvas)
    return sink.getvalue()


class _Numbered(Canvas):
    """Writes `Page 1 of 3` when it knows how many there are."""

    def __init__(self, *args: Any, footer: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._footer = footer
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        for place, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self.setFont("Report", 8)
            self.setFillColor(HexColor(FAINT))
            self.drawString(_MARGIN, 10 * mm, self._footer)
            self.drawRightString(A4[0] - _MARGIN, 10 * mm, f"Page {place} of {len(self._pages)}")
            super().showPage()
        super().save()


class _Outlined(BaseDocTemplate):
    """Puts each section into the outline."""

    def afterFlowable(self, flowable: Flowable) -> None:
        if isinstance(flowable, _Heading):
            key = f"section-{self.page}-{flowable.words}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.words, key, level=0)


class _Heading(Paragraph):
    def __init__(self, words: str) -> None:
        super().__init__(escape(words), _styles()["section"])
        self.words = words


class _Picture(Flowable):
    """A drawing as broad as the page, in the shapes that the page has too."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self.drawing = drawing
        self.scale = _WIDTH / drawing.width
        self.width, self.height = _WIDTH, drawing.height * self.scale

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.scale(self.scale, self.scale)
        for shape in self.drawing.shapes:
            match shape:
                case Box():
                    self.canv.setFillColor(HexColor(shape.colour))
                    at = self._up(shape.y + shape.height)
                    self.canv.rect(shape.x, at, shape.width, shape.height, stroke=0, fill=1)
                case Path():
                    self._path(shape)
                case Dot():
                    self.canv.setFillColor(HexColor(shape.colour))
                    self.canv.circle(shape.x, self._up(shape.y), shape.radius, stroke=0, fill=1)
                case Words():
                    self._words(shape)
        self.canv.restoreState()

    def _path(self, shape: Path) -> None:
        path = self.canv.beginPath()
        for place, (x, y) in enumerate(shape.points):
            (path.lineTo if place else path.moveTo)(x, self._up(y))
        self.canv.setStrokeColor(HexColor(shape.colour))
        self.canv.setLineWidth(shape.width)
        self.canv.drawPath(path, stroke=1, fill=0)

    def _words(self, shape: Words) -> None:
        self.canv.setFillColor(HexColor(shape.colour))
        self.canv.setFont("Report", SIZE)
        say = {"start": self.canv.drawString, "middle": self.canv.drawCentredString, "end": self.canv.drawRightString}
        say[shape.anchor](shape.x, self._up(shape.y), _text(shape.text))

    def _up(self, y: float) -> float:
        """PDF counts from below."""
        return self.drawing.height - y


def _story(document: Document) -> list[Flowable]:
    zone = document.zone
    about = (
        f"{document.tenant}, from {moment(document.period.start, zone)} up to {moment(document.period.end, zone)}."
        f" Made {moment(document.generated_at, zone)}. Times are of {document.time_zone}."
    )
    story = [
        _paragraph(document.title, "title"),
        _paragraph(about, "fine"),
        Spacer(1, 6),
        _paragraph(document.summary, "summary", most=2_000),
    ]
    for section in document.sections:
        story.extend(_section(section))
    return story


def _section(section: Section) -> Iterable[Flowable]:
    yield CondPageBreak(_LEAST)
    yield _Heading(_text(section.title))
    if section.note:
        yield _paragraph(section.note, "fine", most=2_000)
    if section.figures:
        yield _figures(section.figures)
    for chart in section.charts:
        same = numbers(chart)
        drawn = [_paragraph(f"{chart.title}, {chart.unit}", "caption"), _Picture(draw(chart))]
        if len(same.rows) <= _FEW:
            drawn.append(_printed(same, of_chart=True))
        yield KeepTogether(drawn)
        if len(same.rows) > _FEW:
            yield _printed(same, of_chart=True)
    for table in section.tables:
        yield CondPageBreak(_LEAST / 2)
        yield _paragraph(table.title, "caption")
        yield _printed(table) if table.rows else _paragraph("None in this period.", "fine")
        if table.truncated:
            yield _paragraph(f"{table.truncated:,} more are not shown.", "fine")


def _figures(figures: tuple[Figure, ...]) -> Flowable:
    """Four in a row."""
    cells = [
        [
            _paragraph(figure.label, "fine", most=_BRIEF),
            _paragraph("no data" if figure.value is None else figure.value, "figure", most=_BRIEF),
            *([_paragraph(figure.note, "fine", most=2 * _BRIEF)] if figure.note else []),
        ]
        for figure in figures
    ]
    rows = [cells[at : at + 4] for at in range(0, len(cells), 4)]
    rows[-1].extend([""] * (4 - len(rows[-1])))  # type: ignore[list-item]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return PrintedTable(rows, colWidths=[_WIDTH / 4] * 4, style=style, hAlign="LEFT")


def _printed(table: Table, *, of_chart: bool = False) -> Flowable:
    """Breaks over pages, and repeats its head on each. Of a chart, all but the first column are numbers."""
    rows = [[shown(cell)[0] for cell in row] for row in table.rows]
    right = [place > 0 for place in range(len(table.columns))] if of_chart else numeric(table)
    small, size = ("-small", _SMALL) if of_chart else ("", _LETTERS)
    styles = [f"number{small}" if one else f"cell{small}" for one in right]
    body = [[_paragraph(text, style) for text, style in zip(row, styles, strict=True)] for row in rows]
    head = [_paragraph(name, f"{style}-head", most=_BRIEF) for name, style in zip(table.columns, styles, strict=True)]
    ruled: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, 0), 0.75, HexColor(FAINT)),
        ("LINEBELOW", (0, 1), (-1, -1), 0.5, HexColor(GRID)),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), _GAP),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    widths = _widths([list(table.columns), *rows], size)
    return PrintedTable(
        [head, *body], colWidths=widths, repeatRows=1, splitInRow=1, style=ruled, hAlign="LEFT", spaceAfter=8
    )


def _widths(texts: list[list[str]], size: float) -> list[float]:
    """None less than its longest word needs; what is left goes to those that have more to say."""
    columns = [[_text(text, 80) for text in column] for column in zip(*texts, strict=True)]
    words = [[word for text in column for word in text.split()] for column in columns]
    least = [min(_WIDTH / 3, _width(one, size)) for one in words]
    wanted = [max(low, min(_WIDTH / 2, _width(one, size))) for low, one in zip(least, columns, strict=True)]
    if sum(least) >= _WIDTH:
        return [width * _WIDTH / sum(least) for width in least]
    more = [want - low for want, low in zip(wanted, least, strict=True)]
    room = _WIDTH - sum(least)
    if sum(more) <= room:
        return [want * _WIDTH / sum(wanted) for want in wanted]
    return [low + room * one / sum(more) for low, one in zip(least, more, strict=True)]


def _width(texts: list[str], size: float) -> float:
    """Of the widest, with what is left free beside it."""
    return max((pdfmetrics.stringWidth(text, "Report-Bold", size) for text in texts), default=0.0) + size


def _paragraph(text: str, style: str, *, most: int = _MOST) -> Paragraph:
    return Paragraph(escape(_text(text, most)), _styles()[style])


def _text(text: str, most: int = _MOST) -> str:
    """What the font can show of it, on one line, cut after `most` characters."""
    known = _letters()
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(_shown(letter, known) for letter in normalize("NFC", cut))


def _shown(letter: str, known: Collection[int]) -> str:
    if letter.isspace():
        return " "
    if category(letter)[0] == "C" or bidirectional(letter) in ("R", "AL", "AN") or ord(letter) not in known:
        return REPLACEMENT
    return letter


@cache
def _letters() -> Collection[int]:
    """Registers the font; gives the characters that both its faces have."""
    faces = [TTFont(name, str(_FONTS / file)) for name, file in _FACES.items()]
    for face in faces:
        pdfmetrics.registerFont(face)
    return frozenset.intersection(*(frozenset(face.face.charToGlyph) for face in faces))


@cache
def _styles() -> dict[str, ParagraphStyle]:
    plain = ParagraphStyle("cell", fontName="Report", fontSize=_LETTERS, leading=11, textColor=HexColor(INK))
    small = ParagraphStyle("cell-small", plain, fontSize=_SMALL, leading=9)
    bold = "Report-Bold"
    return {
        "cell": plain,
        "number": ParagraphStyle("number", plain, alignment=TA_RIGHT),
        "cell-head": ParagraphStyle("cell-head", plain, fontName=bold),
        "number-head": ParagraphStyle("number-head", plain, fontName=bold, alignment=TA_RIGHT),
        "cell-small": small,
        "number-small": ParagraphStyle("number-small", small, alignment=TA_RIGHT),
        "cell-small-head": ParagraphStyle("cell-small-head", small, fontName=bold),
        "number-small-head": ParagraphStyle("number-small-head", small, fontName=bold, alignment=TA_RIGHT),
        "fine": ParagraphStyle("fine", plain, textColor=HexColor(FAINT)),
        "summary": ParagraphStyle("summary", plain, fontSize=10.5, leading=15),
        "title": ParagraphStyle("title", plain, fontName=bold, fontSize=18, leading=24, spaceAfter=2),
        "section": ParagraphStyle(
            "section", plain, fontName=bold, fontSize=13, leading=17, spaceBefore=16, spaceAfter=4, keepWithNext=1
        ),
        "caption": ParagraphStyle("caption", plain, fontName=bold, spaceBefore=10, spaceAfter=3),
        "figure": ParagraphStyle("figure", plain, fontSize=14, leading=19),
    }
