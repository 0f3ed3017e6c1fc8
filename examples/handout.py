"""A proof as a handout: for any depth and for one network, with an example and exercises, and as part of a text."""

from pathlib import Path

import symbackprop as sb

folder = Path("handout")
folder.mkdir(exist_ok=True)

proofs = {
    "any_depth": sb.prove(sb.Network(depth="L", activation="f", cost="squared_error")),
    "softmax": sb.prove(sb.Network(["s_1", "s_2", "K"], activation="relu", cost="softmax_cross_entropy")),
}
for name, proof in proofs.items():
    print(repr(proof))
    assert proof.status == "PROVED"
    for ending in ("html", "tex", "md"):
        print("  wrote", proof.save(folder / f"{name}.{ending}"))

network = sb.prove(sb.Network([3, 4], activation="sigmoid", cost="cross_entropy"))
page = network.save(folder / "exercises.html", example=True, exercises=True)
assert "A worked example" in page.read_text(encoding="utf-8")
part = network.save(folder / "part.tex", fragment=True)
assert "documentclass" not in part.read_text(encoding="utf-8")
print("  wrote", page, "and", part)
