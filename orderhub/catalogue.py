"""Which words the pages may show, and what the Chinese catalogue lacks of them. For developers: needs polib."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polib
from django.apps import apps
from django.utils.translation.template import templatize

from orderhub import env

LOCALE = "zh_Hans"
PO_FILE = env.ROOT / "locale" / LOCALE / "LC_MESSAGES" / "django.po"
OUR_PACKAGES = ("orders", "integrations", "promises", "orderhub")
# Packages whose words our pages can show. Unfold, axes, otp and the schema ship no Chinese at all, the others some.
THEIR_PACKAGES = (
    "django",
    "unfold",
    "import_export",
    "django_q",
    "django_otp",
    "axes",
    "rest_framework",
    "drf_spectacular",
)
# The words of theirs that our catalogue has to bring, as calls that makemessages finds.
BORROWED_FILE = env.ROOT / "orderhub" / "borrowed_words.py"
BORROWED_HEAD = '''"""Words that installed packages leave in English. Made by: manage.py catalogue update. Never imported."""

# fmt: off
# ruff: noqa: E501, F401

from __future__ import annotations

from django.utils.translation import gettext_noop, ngettext_lazy, npgettext_lazy, pgettext_lazy

WORDS: list[object] = [
'''
# Parts of packages that no page of ours shows: apps not installed, forms we have our own of, lines for the log.
NEVER_SHOWN = (
    "django/contrib/admindocs",
    "django/contrib/flatpages",
    "django/contrib/gis",
    "django/contrib/postgres",
    "django/contrib/redirects",
    "django/contrib/sitemaps",
    "django/contrib/sites",
    "django/contrib/syndication",
    "django/core/management",
    "django_otp/forms.py",
    "django_otp/plugins/otp_email",
    "django_otp/plugins/otp_hotp",
    "django_otp/templates",
    "django_q/cluster.py",
    "django_q/timeout.py",
    "django_q/worker.py",
    "drf_spectacular/views.py",
    "rest_framework/authtoken",
    "unfold/contrib/constance",
    "unfold/contrib/filters",
    "unfold/contrib/forms",
    "unfold/contrib/guardian",
    "unfold/contrib/inlines",
    "unfold/contrib/location_field",
    "unfold/contrib/simple_history",
    "unfold/templates/unfold_crispy",
)
SKIPPED_ROOMS = {"tests", "test", "migrations", "locale", "node_modules", "conf"}

STRING = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
TEMPLATE_CALL = re.compile(rf"\b(n?p?gettext|_)\(\s*({STRING})(?:,\s*({STRING}))?(?:,\s*({STRING}))?")
PLACEHOLDER = re.compile(
    r"%\(\w+\)[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%[-#0 +]*\d*(?:\.\d+)?[sdrf](?![a-zA-Z])|\{\w*\}"
)
CALL_NAME = re.compile(r"(?:u?gettext|ngettext|pgettext|npgettext)(?:_lazy|_noop)?")


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One string that is looked up in a catalogue."""

    msgid: str
    plural: str = ""
    context: str = ""


def _message(function: str, words: list[str]) -> Message | None:
    """The message that a call of this function with these words looks up; None if words are missing."""
    takes_context = function.startswith(("pgettext", "npgettext"))
    takes_plural = function.startswith(("ngettext", "npgettext"))
    if len(words) < 1 + takes_context + takes_plural:
        return None
    context = words.pop(0) if takes_context else ""
    return Message(words[0], words[1] if takes_plural else "", context)


def _translation_calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call of a gettext function with the function's own name, whatever it was imported as."""
    names = {"_": "gettext"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        name = names.get(name, name)
        if CALL_NAME.fullmatch(name):
            yield name, node


def in_python(source: str) -> set[Message]:
    """The messages that Python code looks up by literal strings."""
    found = set()
    for name, call in _translation_calls(ast.parse(source)):
        words = []
        for argument in call.args:
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                break
            words.append(argument.value)
        message = _message(name, words)
        if message is not None:
            found.add(message)
    return found


def built_in_python(source: str) -> list[int]:
    """The lines where a gettext function gets a string built on the spot, which no catalogue can hold."""
    return [
        call.lineno
        for _name, call in _translation_calls(ast.parse(source))
        for argument in call.args
        if isinstance(argument, ast.JoinedStr)
        or (
            isinstance(argument, ast.BinOp)
            and any(
                isinstance(part, ast.Constant | ast.JoinedStr) for part in (argument.left, argument.right)
            )
        )
    ]


def in_template(source: str) -> set[Message]:
    """The messages that a Django template looks up."""
    found = set()
    for function, *literals in TEMPLATE_CALL.findall(templatize(source)):
        words = [ast.literal_eval(literal) for literal in literals if literal]
        message = _message("gettext" if function == "_" else function, words)
        if message is not None:
            found.add(message)
    return found


def _files(root: Path, *suffixes: str) -> Iterator[Path]:
    for file in sorted(root.rglob("*")):
        if file.suffix in suffixes and not SKIPPED_ROOMS & set(file.relative_to(root).parts[:-1]):
            yield file


def _in_file(file: Path) -> set[Message]:
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        # Most files say nothing; looking before parsing takes a check from ten seconds to two. Ours may say it with told().
        return in_python(source) if "gettext" in source or " as _" in source else set()
    return in_template(source)


def _in_files(files: Iterable[Path]) -> set[Message]:
    return {message for file in files for message in _in_file(file) if message.msgid}


def our_files() -> list[Path]:
    """Our own code and templates."""
    rooms = [env.ROOT / package for package in OUR_PACKAGES] + [env.ROOT / "templates"]
    return [file for room in rooms for file in _files(room, ".py", ".html", ".txt") if file != BORROWED_FILE]


def ours() -> set[Message]:
    """What our own code and templates say."""
    return _in_files(our_files())


def _package_root(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"{package} is not installed")
    return Path(spec.origin).parent


def theirs() -> set[Message]:
    """What the installed packages can say on our pages."""
    found: set[Message] = set()
    for package in THEIR_PACKAGES:
        root = _package_root(package)
        hidden = tuple(str(root.parent / part) for part in NEVER_SHOWN)
        found |= _in_files(file for file in _files(root, ".py", ".html") if not str(file).startswith(hidden))
    return found


def spoken_by_packages() -> dict[tuple[str, str], str]:
    """What the installed packages translate themselves, by (context, msgid); of a plural its one Chinese form."""
    rooms = [_package_root("django") / "conf" / "locale"]
    rooms += [Path(app.path) / "locale" for app in apps.get_app_configs()]
    spoken = {}
    for room in rooms:
        file = room / LOCALE / "LC_MESSAGES" / "django.mo"
        for entry in polib.mofile(str(file)) if file.exists() else ():
            if _says(entry):
                spoken[entry.msgctxt or "", entry.msgid] = texts(entry)[0]
    return spoken


def _says(entry: polib.POEntry) -> bool:
    return all(entry.msgstr_plural.values()) if entry.msgid_plural else bool(entry.msgstr)


def borrowed() -> set[Message]:
    """What of theirs our catalogue has to translate: the packages leave it in English, and we do not say it ourselves."""
    spoken = spoken_by_packages()
    return {message for message in theirs() if (message.context, message.msgid) not in spoken} - ours()


def borrowed_source(messages: Iterable[Message]) -> str:
    """The text of BORROWED_FILE."""
    return BORROWED_HEAD + "".join(f"    {_as_call(message)},\n" for message in sorted(messages)) + "]\n"


def _as_call(message: Message) -> str:
    words = [word for word in (message.context, message.msgid, message.plural) if word]
    literals = [_literal(word) for word in words]
    match bool(message.context), bool(message.plural):
        case False, False:
            return f"gettext_noop({literals[0]})"
        case True, False:
            return f"pgettext_lazy({', '.join(literals)})"
        case False, True:
            return f"ngettext_lazy({', '.join(literals)}, 1)"
        case _:
            return f"npgettext_lazy({', '.join(literals)}, 1)"


def _literal(word: str) -> str:
    return (
        '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
    )


def placeholders(text: str) -> list[str]:
    """The places that values are put into, sorted."""
    return sorted(PLACEHOLDER.findall(text.replace("%%", "")))


def texts(entry: polib.POEntry) -> list[str]:
    """What an entry says in Chinese, each form."""
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def faults_of(entry: polib.POEntry) -> Iterator[str]:
    """What is wrong with one entry, in words."""
    if entry.obsolete:
        yield "obsolete"
        return
    if entry.fuzzy:
        yield "fuzzy"
    if not _says(entry) or (entry.msgid_plural and set(entry.msgstr_plural) != {0}):
        yield "not translated"
        return
    for text in texts(entry):
        # A number that both forms carry may be left out of neither; one that only the plural has must be in Chinese too.
        wanted = placeholders(entry.msgid_plural or entry.msgid)
        if placeholders(text) != wanted:
            yield f"placeholders {placeholders(text)}, not {wanted}"
        if entry.msgid.startswith("\n") != text.startswith("\n") or entry.msgid.endswith(
            "\n"
        ) != text.endswith("\n"):
            yield "line breaks at the ends differ"


def faults(catalogue: polib.POFile, wanted: set[Message]) -> list[str]:
    """What a catalogue lacks of the wanted messages, has too much, or has wrongly; empty when it is complete."""
    kept = {Message(e.msgid, e.msgid_plural or "", e.msgctxt or "") for e in catalogue if not e.obsolete}
    lines = [f"{entry.msgid!r}: {fault}" for entry in catalogue for fault in faults_of(entry)]
    lines += [f"{message.msgid!r}: missing" for message in sorted(wanted - kept)]
    lines += [f"{message.msgid!r}: nothing says it any more" for message in sorted(kept - wanted)]
    if catalogue.metadata.get("Plural-Forms") != "nplurals=1; plural=0;":
        lines.append("Plural-Forms must be nplurals=1; plural=0;")
    return lines


def answers(catalogue: polib.MOFile | polib.POFile) -> dict[tuple[str, str], object]:
    """What a catalogue answers for (context, msgid): the same from a .po and from the .mo compiled of it."""
    entries = catalogue if isinstance(catalogue, polib.MOFile) else catalogue.translated_entries()
    return {(entry.msgctxt or "", entry.msgid): entry.msgstr_plural or entry.msgstr for entry in entries}


def faults_on_disk() -> list[str]:
    """What is wrong with the committed catalogue: its words, its list of borrowed words, its compiled form."""
    lent = borrowed()
    po = polib.pofile(str(PO_FILE))
    lines = faults(po, ours() | lent)
    if BORROWED_FILE.read_text(encoding="utf-8") != borrowed_source(lent):
        lines.append(
            "orderhub/borrowed_words.py is not what the installed packages need: run manage.py catalogue update"
        )
    if answers(polib.mofile(str(PO_FILE.with_suffix(".mo")))) != answers(po):
        lines.append("django.mo was compiled from another django.po: run manage.py catalogue update")
    for file in our_files():
        built = built_in_python(file.read_text(encoding="utf-8")) if file.suffix == ".py" else []
        lines += [
            f"{file.relative_to(env.ROOT)}:{line}: a string built inside a gettext call" for line in built
        ]
    return lines
