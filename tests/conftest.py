"""Settings of all tests, and which of them are slow."""

import gc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from thinning import EVERYTHING

from symbackprop.checking import check, decide
from symbackprop.checking.budget import CHECK

# a slow machine is no failure, and a failure shows itself again in the next run
settings.register_profile("symbackprop", deadline=None, derandomize=True)
settings.load_profile("symbackprop")

# What proves, compiles or typesets many things; `-m "not slow"` leaves it out, and the rest takes less than a
# minute on two cores. Single tests have the mark themselves.
SLOW = {
    *("calculus/test_oracles", "checking/test_check_numbers", "checking/test_check_ranges"),
    *("checking/test_claims_layers", "checking/test_claims_verify", "checking/test_diagnosis"),
    *("document/test_code_lines_run", "document/test_any_depth_code", "frontends/test_trace_attacks"),
    *(
        "checking/test_generated_code",
        "cli/test_cli",
        "cli/test_help",
        "codegen/test_c_backend",
        "codegen/test_c_products",
    ),
    *("codegen/test_codegen_network", "codegen/test_compiled_traces", "codegen/test_generated_gradients"),
    *("frontends/test_jax", "frontends/test_torch"),
    *("codegen/test_jax_parallel", "derivations/test_gallery", "derivations/test_gallery_pages"),
    *("document/test_document", "proofs/test_closed_forms", "test_benchmarks", "test_docs", "test_readme"),
    *("document/test_handout", "document/test_words_of_documents", "test_site"),
    *(
        "checking/test_composition",
        "checking/test_deep_families",
        "checking/test_claims_classes",
        "checking/test_refute",
        "checking/test_stated_sizes",
    ),
    *("checking/test_pytest_plugin", "document/test_sentences", "frontends/test_control_flow", "test_first_minutes"),
    *(
        "frontends/test_numpy_functions",
        "checking/test_check_raising",
        "checking/test_trace_agreement",
        "proofs/test_network_theorems",
        "checking/test_domains",
    ),
    *("audit/test_audit", "audit/test_documents", "audit/test_error_terms", "calculus/test_lemmas"),
    *(
        "certificate/test_coq",
        "checking/test_explicit_forms",
        "checking/test_loop_families",
        "checking/test_matrix_layers",
    ),
    *("checking/test_several_faults", "codegen/test_recurrence_code", "codegen/test_windows", "expression/test_sizes"),
    *("normal_form/test_normal_form", "normal_form/test_rules_keep_values"),
    *("precision/test_cures", "precision/test_forward_alone", "precision/test_safety", "test_docstrings"),
    "test_examples",
    "test_types",
    *("codegen/test_line_breaks", "training/test_estimators", "training/test_loop"),
}


# Tables of cases that take seconds each: of every test there one of so many runs by default, all of them with
# SYMBACKPROP_EVERYTHING=1.
THINNED = {
    **dict.fromkeys(
        (
            *("audit/test_audit", "calculus/test_oracles", "checking/test_claims_classes"),
            *("checking/test_claims_layers", "checking/test_deep_families", "checking/test_explicit_forms"),
            *("checking/test_kinks", "checking/test_loop_families", "checking/test_matrix_layers"),
            *("checking/test_recurrences", "checking/test_rounded_branches", "codegen/test_large_logits"),
            *("codegen/test_recurrence_code", "document/test_document", "document/test_handout"),
            *("codegen/test_generated_gradients", "derivations/test_gallery_pages"),
            *("precision/test_generated", "precision/test_safety"),
        ),
        10,
    ),
    **dict.fromkeys(
        (
            *("audit/test_extraction", "audit/test_grammar", "certificate/test_check_proof"),
            *("checking/test_claims_verify", "checking/test_diagnosis", "checking/test_stated_sizes", "cli/test_cli"),
            *("codegen/test_c_products", "codegen/test_codegen_network", "codegen/test_codegen_program"),
            *("codegen/test_torch_code", "document/test_sentences", "frontends/test_jax", "frontends/test_torch"),
            *("frontends/test_trace_attacks", "training/test_loop", "frontends/test_numpy_functions"),
            *("checking/test_check_numbers", "checking/test_check_ranges", "checking/test_layers"),
            *("checking/test_faults_of_derivation", "codegen/test_windows", "document/test_code_lines_run"),
            *("expression/test_wrong_orders", "normal_form/test_floors", "normal_form/test_signs"),
            *("precision/test_forward_alone", "proofs/test_closed_forms", "proofs/test_network_theorems"),
        ),
        7,
    ),
}


def _thin(items: list[pytest.Item], here: Path) -> None:
    """Leave out all but some cases of the tests in long tables."""
    counts: Counter[tuple[Path, str]] = Counter()
    for item in items:
        share = (
            THINNED.get(str(item.path.relative_to(here).with_suffix(""))) if item.path.is_relative_to(here) else None
        )
        if share is None or not hasattr(item, "callspec") or item.get_closest_marker("skipif") is not None:
            continue
        place = item.path, item.name.partition("[")[0]
        if counts[place] % share:
            item.add_marker(pytest.mark.skip(reason="runs with SYMBACKPROP_EVERYTHING=1"))
        counts[place] += 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow modules, and thin long tables.

    Slow modules come first, so that no process waits for one at the end. Before them those of the normal form: in which
    order atoms were made decides what some of its identities are called by, and two of them are not found in any order.
    """
    here = Path(__file__).parent
    if not EVERYTHING:
        _thin(items, here)
    slow = {
        item
        for item in items
        if item.path.is_relative_to(here) and str(item.path.relative_to(here).with_suffix("")) in SLOW
    }
    for item in slow:
        item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: (here / "normal_form" not in item.path.parents, item not in slow))


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A check waits longer than the time that it works: how much else the machine does decides nothing in a test."""
    usual = check._limit
    monkeypatch.setattr(check, "_limit", lambda seconds: usual(seconds) * (6 if seconds == CHECK else 1))


@pytest.fixture
def no_diagnosis(monkeypatch):
    """The cause of a wrong gradient is not sought: for tests of verdicts and counterexamples."""
    monkeypatch.setattr(decide, "_cause", lambda *_: None)


@pytest.fixture(autouse=True, scope="module")
def what_lives_for_good():
    """Interned nodes and memos outlive every test: without this the collector would walk all of them again and again."""
    yield
    gc.freeze()
