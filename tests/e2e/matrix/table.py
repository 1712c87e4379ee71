"""The matrix as text for contrib/doc: tables whose cells are `yes`, or a number that leads to the reason
why there can be none."""

YES = "yes"


class Said(str):
    """What stands in a cell as it is."""


class Table:
    def __init__(self, title, text, corner, columns):
        self.title, self.text, self.corner = title, text, corner
        self.columns = list(columns)
        self.rows = {}

    def set(self, row, column, value):
        self.rows.setdefault(row, {})[column] = value


def render(introduction, tables):
    reasons = []

    def cell(value):
        if value in (YES, None) or isinstance(value, Said):
            return value or ""
        if value not in reasons:
            reasons.append(value)
        return "[%d]" % (reasons.index(value) + 1)

    text = introduction.strip() + "\n"
    for table in tables:
        text += "\n## %s\n%s\n\n" % (table.title, table.text)
        text += "| %s | %s |\n" % (table.corner, " | ".join(table.columns))
        text += "|" + "---|" * (len(table.columns) + 1) + "\n"
        for row, values in table.rows.items():
            text += "| %s | %s |\n" % (row, " | ".join(cell(values.get(column)) for column in table.columns))
    if reasons:
        text += "\n## Why not\n" + "".join("%d. %s\n" % (i + 1, reason) for i, reason in enumerate(reasons))
    return text
