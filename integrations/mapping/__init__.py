"""Field mapping as data: a definition says where each hub field stands in a record, and what outside values mean.

definition.py checks and compiles a definition into readers.py; translation.py applies it (pure); suggestion.py proposes
one; editor.py turns one into a table of selects and back; preview.py shows what it makes of samples; versions.py saves
and reverts it; rereading.py applies it anew to what arrived before. The format: docs/field-mapping.md.
"""

from __future__ import annotations

from integrations.mapping.definition import BadDefinition, check, compiled, partly
from integrations.mapping.suggestion import PathSample, Suggestion, paths_of, suggest
from integrations.mapping.transforms import clean_id
from integrations.mapping.translation import TRIAL_LIMIT, FieldRead, Sample, read_fields, translate, trial

__all__ = [
    "TRIAL_LIMIT",
    "BadDefinition",
    "FieldRead",
    "PathSample",
    "Sample",
    "Suggestion",
    "check",
    "clean_id",
    "compiled",
    "partly",
    "paths_of",
    "read_fields",
    "suggest",
    "translate",
    "trial",
]
