"""A few hundred mutated certificates; `python tests/certificate_fuzz.py --seconds 3600` asks about more."""

import certificate_fuzz


def test_attack_finds_no_false_certificate():
    names = ["affine_flatten.sbp", "gelu.sbp", "huber.sbp", "linear_scan.sbp"]
    asked, _, false = certificate_fuzz.attack(seed=3, count=80, names=names)
    assert asked == 80
    assert not false, false[0]
