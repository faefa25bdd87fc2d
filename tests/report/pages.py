"""Reading a page as a browser does."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, the text, and the JSON."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self.json, self._script = [], "", "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.numbers = json.loads(self.json)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("type") if tag == "script" else None

    def handle_data(self, data):
        if self._script == "application/json":
            self.json += data
        else:
            self.text += data

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]
