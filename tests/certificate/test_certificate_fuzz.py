"""A few hundred mutated certificates; `python tests/certificate_fuzz.py --seconds 3600` asks about more."""

import certificate_fuzz


def test_attack_finds_no_false_certificate():
    asked, _, false = certificate_fuzz.attack(seed=3, count=120)
    assert asked == 120
    assert not false, false[0]
