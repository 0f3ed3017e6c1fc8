"""Modules that take long to import, each loaded when it is first used.

    from symbackprop.cli.lazy import api             # costs nothing
    api.prove(network)                              # imports symbackprop.api

So `symbackprop prove` never waits for training or plotting, nor for what checks code. Only this module of the command
line imports by name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symbackprop import api as api
    from symbackprop import files as files
    from symbackprop.audit import audit as audits
    from symbackprop.audit import report as audit_report
    from symbackprop.codegen import choice as choice
    from symbackprop.codegen import tune as tuning
    from symbackprop.document import audit_document as audit_documents
    from symbackprop.document import save as document_save
    from symbackprop.expression import program as program
    from symbackprop.frontends import network as network
    from symbackprop.frontends import network_options as network_options
    from symbackprop.proofs import network as theorems
    from symbackprop.training import csv_table as csv_table
    from symbackprop.training import data as data
    from symbackprop.training import loop as train
    from symbackprop.training import model as model
    from symbackprop.training import plot as plot
    from symbackprop.training import progress as progress
    from symbackprop.training import report as report
    from symbackprop.training import storage as storage

    __all__ = ["audit_documents", "audit_report", "audits", "document_save", "theorems", "train", "tuning"]


NAMES = {
    "api": "api",
    "audit_documents": "document.audit_document",
    "audit_report": "audit.report",
    "audits": "audit.audit",
    "choice": "codegen.choice",
    "csv_table": "training.csv_table",
    "data": "training.data",
    "document_save": "document.save",
    "files": "files",
    "model": "training.model",
    "network": "frontends.network",
    "network_options": "frontends.network_options",
    "plot": "training.plot",
    "program": "expression.program",
    "progress": "training.progress",
    "report": "training.report",
    "storage": "training.storage",
    "theorems": "proofs.network",
    "train": "training.loop",
    "tuning": "codegen.tune",
}


class Later:
    """Stands for a module of this package until something in it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # a tool that looks the object over does not use it
            raise AttributeError(attribute)
        return getattr(importlib.import_module(f"symbackprop.{self._name}"), attribute)


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Later(NAMES[name])
