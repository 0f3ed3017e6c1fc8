"""Some mutated certificates; `python tests/certificate_fuzz.py --seconds 3600` asks about more."""

import certificate_fuzz


def test_attack_finds_no_false_certificate():
    asked, accepted, false = certificate_fuzz.attack(seed=3, count=600, stored=0)
    assert asked == 600 and accepted
    assert not false, false[0]


def test_attack_begins_with_accepted_files():
    """Each file is accepted as it stands, and numbers notice where its gradient is made wrong."""
    made, _ = certificate_fuzz.texts()
    for text in made.values():
        original = certificate_fuzz.Original(text)
        assert original.accepts(original.lines) is not None
    wrong = certificate_fuzz.small("x[i]**3", "3*x[i]**2", "3*x[i]**2 + 1", [certificate_fuzz.X])
    assert certificate_fuzz.refuted(wrong + "\nend 11\n") is not None
