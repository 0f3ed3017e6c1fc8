r"""What commands and words mean for the grammar: relations, operators, brackets, functions, fonts, environments.

Tables only; a row says how something is read, never what it stands for.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    """Names parted by blanks."""
    return frozenset(text.split())


# Command or character -> sign of a Relation.
RELATIONS = {
    "=": "=",
    ":=": ":=",
    r"\coloneqq": ":=",
    r"\triangleq": "≜",
    r"\doteq": "≐",
    r"\leftarrow": "←",
    r"\Leftarrow": "←",
    r"\to": "→",
    r"\mapsto": "↦",
    r"\approx": "≈",
    r"\simeq": "≈",
    r"\cong": "≅",
    r"\equiv": "≡",
    r"\propto": "∝",
    r"\sim": "∼",
    "<": "<",
    ">": ">",
    r"\le": "≤",
    r"\ge": "≥",
    r"\ll": "≪",
    r"\gg": "≫",
    r"\ne": "≠",
    r"\in": "∈",
    r"\notin": "∉",
    r"\ni": "∋",
    r"\subset": "⊂",
    r"\subseteq": "⊆",
    r"\supset": "⊃",
    "+=": "+=",
    "-=": "-=",
    r"\perp": "⊥",
    r"\succ": "≻",
    r"\succeq": "⪰",
    r"\prec": "≺",
    r"\preceq": "⪯",
    r"\overset{!}{=}": "=",
}
IMPLICATIONS = {r"\Rightarrow": "⇒", r"\Leftrightarrow": "⇔", r"\therefore": "⇒", r"\because": "⇐"}

# Operators of the close level and of the wide one (see tree.Product).
CLOSE = {r"\cdot": "cdot", r"\times": "times", "/": "/", r"\div": "div"}
WIDE = {
    r"\odot": "odot",
    r"\circ": "circ",
    r"\ast": "ast",
    "*": "ast",
    ".*": "ast",
    r"\star": "star",
    r"\bullet": "bullet",
    r"\otimes": "otimes",
    r"\oplus": "oplus",
    r"\ominus": "ominus",
    r"\oslash": "oslash",
    r"\wedge": "wedge",
    r"\vee": "vee",
    r"\cup": "cup",
    r"\cap": "cap",
    r"\setminus": "setminus",
    "@": "@",
    r"\bmod": "mod",
}
SIGNS = {"+": "+", "-": "-", r"\pm": "±", r"\mp": "∓"}

OPENINGS = {"(": "(", "[": "[", r"\{": "{", r"\langle": "⟨", r"\lfloor": "⌊", r"\lceil": "⌈", r"\lvert": "|"} | {
    r"\lVert": "‖",
}
CLOSINGS = {")": ")", "]": "]", r"\}": "}", r"\rangle": "⟩", r"\rfloor": "⌋", r"\rceil": "⌉", r"\rvert": "|"} | {
    r"\rVert": "‖",
}
PARTNER = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⌊": "⌋", "⌈": "⌉", "|": "|", "‖": "‖"}
BARS = {"|": "|", r"\|": "‖"}
SEPARATORS = {",": ",", ";": ";", r"\mid": "|", ":": ":", r"\middle": "|"}

SPACES = frozenset(
    [r"\,", r"\;", r"\:", r"\!", r"\ ", r"\>", "~", r"\thinspace", r"\medspace", r"\thickspace", r"\enspace", "\\\n"]
) | {r"\negthinspace", r"\nobreak", r"\allowbreak", r"\/", r"\hfill", r"\hfil"}
WIDE_SPACES = frozenset([r"\quad", r"\qquad", r"\hskip1em"])
# Commands without effect on the tree, and those whose one argument is dropped with them.
SILENT = _names(
    r"\displaystyle \textstyle \scriptstyle \scriptscriptstyle \limits \nolimits \nonumber \notag \big \Big \bigg"
    r" \Bigg \bigl \bigr \Bigl \Bigr \biggl \biggr \Biggl \Biggr \bigm \Bigm \mathstrut \strut \relax \null \noindent"
    r" \centering \small \large \Large \footnotesize \normalsize \mathopen \mathclose \mathord \mathpunct \mathbin"
    r" \mathrel \mathinner \smash \nobreakspace \allowdisplaybreaks \hline \protect \ensuremath"
    r" \it \begingroup \endgroup"
    r" \normalfont \mit \qed \blacksquare \square \Box \break \par"
)
DROPPED = _names(
    r"\label \tag \tag* \ref \eqref \cite \citep \citet \hspace \hspace* \vspace \vspace* \phantom \hphantom"
    r" \vphantom \footnote \color \kern \mkern \mskip \hskip \vskip \setlength \require \bbox \unicode \class \cssId"
    r" \raisetag \shoveleft \shoveright \intertext \shortintertext \nocite \index \addtocounter \setcounter"
)
# Commands of two arguments of which the first only dresses the second.
DRESSED = frozenset([r"\textcolor", r"\colorbox", r"\href", r"\style", r"\raisebox"])

ACCENTS = {
    r"\hat": "hat",
    r"\widehat": "hat",
    r"\bar": "bar",
    r"\overline": "bar",
    r"\tilde": "tilde",
    r"\widetilde": "tilde",
    r"\vec": "vec",
    r"\overrightarrow": "vec",
    r"\dot": "dot",
    r"\ddot": "ddot",
    r"\dddot": "dddot",
    r"\check": "check",
    r"\breve": "breve",
    r"\acute": "acute",
    r"\grave": "grave",
    r"\mathring": "ring",
    r"\underline": "underline",
    r"\utilde": "tilde",
}
FONTS = {
    r"\mathbf": "bold",
    r"\boldsymbol": "bold",
    r"\bm": "bold",
    r"\pmb": "bold",
    r"\boldmath": "bold",
    r"\bold": "bold",
    r"\symbf": "bold",
    r"\mathbfit": "bold",
    r"\mathcal": "cal",
    r"\mathscr": "cal",
    r"\mathbb": "blackboard",
    r"\mathds": "blackboard",
    r"\mathbbm": "blackboard",
    r"\Bbb": "blackboard",
    r"\mathfrak": "fraktur",
    r"\frak": "fraktur",
    r"\mathsf": "sans",
    r"\mathtt": "typewriter",
    r"\mathrm": "roman",
    r"\mathit": "",
    r"\mathnormal": "",
}
# {\bf W x}: the font holds to the end of the braces.
SWITCHES = {
    r"\rm": "roman",
    r"\sf": "sans",
    r"\tt": "typewriter",
    r"\bf": "bold",
    r"\bfseries": "bold",
    r"\cal": "cal",
    r"\scr": "cal",
    r"\em": "",
    r"\bmit": "bold",
}
TEXTS = _names(r"\text \textrm \textit \textbf \textsf \texttt \textnormal \mbox \hbox \textsc \emph \textup \fbox")
NAMED = frozenset([r"\operatorname", r"\operatorname*", r"\DeclareMathOperator", r"\mathop"])

FUNCTIONS = _names(
    "log ln lg exp sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan det dim ker deg gcd arg max min sup"
    " inf lim limsup liminf Pr tr Tr trace diag Diag rank sign sgn softmax softplus sigmoid logistic relu ReLU"
    " LeakyReLU argmax argmin vec mean var Var Cov cov logsumexp LogSumExp erf sigm sech csch atan asin acos atanh"
    " binom elu gelu GELU silu SiLU swish Softmax Sigmoid sqrt abs norm span Re Im"
)
# Functions that plain letters spell: where a run of letters begins with them, and those that only a whole run spells.
SPELLED_ANYWHERE = (
    "softmax",
    "softplus",
    "sigmoid",
    "tanh",
    "sinh",
    "cosh",
    "log",
    "exp",
    "sin",
    "cos",
    "argmax",
    "argmin",
)
SPELLED_WHOLE = _names(
    "ln tan max min det tr Tr trace diag sign sgn relu ReLU relU sum mean var Var cov Cov sqrt abs erf norm rank sigm"
) | {"logsumexp", "LogSumExp", "Softmax", "Sigmoid", "Tanh", "Diag", "GELU", "gelu", "arg", "log", "exp"}
# Names of three letters and fewer that are no products.
SHORT_NAMES = _names(
    "net out new old hid obs std err avg tot num mse nll bce MSE NLL BCE SSE RSS MAE RMSE ELBO GELU SiLU ReLU inp"
    " tgt pred reg emb vec ref opt iid bias row col dim cur prev MLP LN BN CE KL"
)
# Operators that carry bounds below them.
BIG = {
    r"\sum": "sum",
    r"\prod": "prod",
    r"\int": "int",
    r"\iint": "int",
    r"\oint": "int",
    r"\bigcup": "bigcup",
    r"\bigcap": "bigcap",
    r"\bigoplus": "bigoplus",
    r"\bigotimes": "bigotimes",
    r"\bigwedge": "bigwedge",
    r"\coprod": "coprod",
}
BOUNDED = _names("max min sup inf lim limsup liminf argmax argmin")

DOTS = {r"\ldots": "ldots", r"\cdots": "cdots", r"\vdots": "vdots", r"\ddots": "ddots"}
# Commands that are letters.
LETTERS = _names(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi"
    " psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega varepsilon vartheta varphi varrho varsigma"
    " varpi digamma ell infty emptyset varnothing top bot hbar imath jmath Re Im aleph wp prime dagger ddagger"
    " partial nabla forall exists neg circledast sharp flat natural degree angle triangle diamond Diamond"
    " varGamma varDelta varTheta varLambda varXi varPi varSigma varPhi varPsi varOmega checkmark"
)
RENAMED = {"varnothing": "emptyset", "degree": "circ"}

ROWS = _names(
    "align aligned equation gather gathered eqnarray multline flalign alignat alignedat split dmath dgroup IEEEeqnarray"
    " subequations displaymath math darray dcases@ multlined"
)
JOINED = frozenset(["multline", "multlined"])
MATRICES = _names(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix psmallmatrix bsmallmatrix array tabular substack"
)
CASES = frozenset(["cases", "dcases", "rcases", "numcases"])

# First words of a condition, and words that only join two formulas.
CONDITIONS = frozenset(
    [
        "for",
        "if",
        "when",
        "where",
        "whenever",
        "with",
        "unless",
        "otherwise",
        "else",
        "since",
        "because",
        "given",
        "provided",
        "as",
        "such",
        "by",
        "using",
        "from",
        "iff",
        "only",
        "assuming",
        "let",
        "in",
        "on",
        "over",
        "at",
    ]
)
JOINING = _names("and or so then thus hence therefore also i.e. that is resp.")
# Words that say so without \text, where they stand by themselves between blanks.
SPELLED_REMARKS = _names("for if where when otherwise and or with")
