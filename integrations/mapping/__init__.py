"""Field mapping as data: a definition says where each hub field stands in a record, and what outside values mean.

definition.py checks and compiles a definition; translation.py applies it (pure); suggestion.py proposes one;
versions.py saves, reverts and applies it anew to what arrived before. The format: docs/field-mapping.md.
"""

from __future__ import annotations

from integrations.mapping.definition import BadDefinition, check, compiled
from integrations.mapping.suggestion import PathSample, Suggestion, paths_of, suggest
from integrations.mapping.transforms import clean_id
from integrations.mapping.translation import TRIAL_LIMIT, Sample, translate, trial

__all__ = [
    "TRIAL_LIMIT",
    "BadDefinition",
    "PathSample",
    "Sample",
    "Suggestion",
    "check",
    "clean_id",
    "compiled",
    "paths_of",
    "suggest",
    "translate",
    "trial",
]
