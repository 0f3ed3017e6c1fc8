"""A proof as a handout, for any depth and for one network; files go to a folder of their own."""

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
