"""Options that several sub-commands share, the network that they describe, and its code.

Main names: the option types (`Layers`, `Cost`, ...), `describe` and `compiled`. What may be said of a network,
`description` knows; this module only splits the text of the command line.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symbackprop.cli.lazy import api, csv_table, network, network_options
from symbackprop.errors import MalformedError

if TYPE_CHECKING:
    from symbackprop.codegen.network import CompiledNetwork
    from symbackprop.frontends.network import Network
    from symbackprop.training.csv_table import TableFormat

PANEL = "The network"

Layers = Annotated[
    str | None,
    typer.Option(
        help="Units of each layer, input first: 3,5,5,4 or s_1,s_2,K.", metavar="3,5,4", rich_help_panel=PANEL
    ),
]
NumericLayers = Annotated[
    str, typer.Option(help="Units of each layer, input first.", metavar="64,30,10", rich_help_panel=PANEL)
]
Depth = Annotated[
    str | None,
    typer.Option(help="Instead of --layers: a symbol, for any number of layers.", metavar="L", rich_help_panel=PANEL),
]
Activation = Annotated[
    str,
    typer.Option(
        help="A name, f (any differentiable function) or a formula such as 'z/(1+exp(-z))'; for all layers, for hidden "
        "and output layers (tanh,sigmoid), or one for each layer after the input.",
        rich_help_panel=PANEL,
    ),
]
Cost = Annotated[
    str,
    typer.Option(
        help="cross-entropy, softmax-cross-entropy, squared-error, or a formula in h and y.", rich_help_panel=PANEL
    ),
]
L2 = Annotated[
    str | None,
    typer.Option(help="Coefficient of the squared weights: lambda/(2*m).", metavar="FORMULA", rich_help_panel=PANEL),
]
L1 = Annotated[
    str | None,
    typer.Option(help="Coefficient of the weights' absolute values.", metavar="FORMULA", rich_help_panel=PANEL),
]
Reduction = Annotated[Literal["mean", "sum"], typer.Option(help="Over the m examples.", rich_help_panel=PANEL)]
TABLE = "A .csv file"
Delimiter = Annotated[
    str | None, typer.Option(help="Between cells; by default that of the first line.", rich_help_panel=TABLE)
]
Decimal = Annotated[
    Literal[".", ","], typer.Option(help="The point or the comma inside numbers.", rich_help_panel=TABLE)
]
Encoding = Annotated[str, typer.Option(help="Of the text: utf-8, latin-1, ...", rich_help_panel=TABLE)]
Missing = Annotated[
    Literal["refuse", "drop"], typer.Option(help="What to do with lines with an empty cell.", rich_help_panel=TABLE)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def describe(
    layers: str | None,
    activation: str,
    cost: str,
    l2: str | None,
    l1: str | None,
    reduction: Literal["mean", "sum"],
    depth: str | None = None,
) -> Network:
    """The network that the options describe.

    Raises:
        MalformedError: says which option is wrong.
    """
    if (layers is None) == (depth is None):
        raise MalformedError("give either --layers or --depth", help="--layers 3,5,4, or --depth L for any depth")
    functions = network_options.split_activations(activation, 2 if layers is None else layers.count(","))
    return network.Network(layers, activation=functions, cost=cost, l2=l2, l1=l1, reduction=reduction, depth=depth)


def table_format(
    delimiter: str | None, decimal: Literal[".", ","], encoding: str, missing: Literal["refuse", "drop"]
) -> TableFormat:
    """How a .csv file is written, as the options say."""
    given = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)
    return csv_table.TableFormat(given, decimal, encoding, missing)


def compiled(network: Network, backend: str, dtype: str) -> tuple[CompiledNetwork, list[str]]:
    """The network's code, and what there is to say about it: that another backend took over."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        code = api.compile(network, backend, dtype)
    return code, [line for note in notes for line in str(note.message).splitlines()]
