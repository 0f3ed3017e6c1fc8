"""Functions that printed Python modules bring with them, in a form that neither overflows nor needs more than NumPy.

The coefficients of erf are Chebyshev expansions of erf(z)/z in z^2 for |z| < 1 and of erfc(|z|) exp(z^2) in 2/(2 +
|z|) beyond, to double precision (computed with mpmath at 40 digits; `test_codegen_program` compares with `math.erf`).
"""

from __future__ import annotations

_TEXT = {
    "sigmoid": '''
def sigmoid(z, out=None):
    """1 / (1 + exp(-z)), without overflow: (1 + tanh(z/2)) / 2 has no digits left where it is small."""
    out = np.empty_like(z) if out is None else out
    np.maximum(z, LEAST, out=out)
    np.negative(out, out)
    np.exp(out, out)
    np.add(out, ONE, out)
    np.divide(ONE, out, out)
    return out
''',
    "finite_exp": '''
MOST = -LEAST


def finite_exp(u, out=None):
    """exp(u), but never infinite; to look at the largest number costs less than to write all of them again."""
    if u.size < 4096 or not u.max() <= MOST:
        out = u = np.minimum(u, MOST, out=out)
    return np.exp(u, out)
''',
    "tanh_beside": '''
QUARTER = np.array(0.25, DTYPE)


def tanh_beside(z, high, low, out=None):
    """tanh(z), where high = sigmoid(2z) and low = sigmoid(-2z): their difference costs less in double precision, and
    has all digits but for small z."""
    if z.size < 4096 or z.itemsize < 8:
        return np.tanh(z, out)
    places = np.flatnonzero(np.abs(z) < QUARTER)
    if 4 * len(places) > z.size:
        return np.tanh(z, out)
    few = np.tanh(z.take(places))
    out = np.subtract(high, low, out)
    out.put(places, few)
    return out
''',
    "add_multiple": '''
def add_multiple(total, factor, array, work):
    """total += factor * array; of large arrays some rows at a time, which are added while they are in the cache."""
    if array.size <= 32768:
        np.multiply(array, factor, work)
        np.add(total, work, total)
        return
    rows = max(1, 32768 * len(array) // max(array.size, 1))
    for start in range(0, len(array), rows):
        some = array[start : start + rows]
        product = np.multiply(some, factor, work[: len(some)])
        part = total[start : start + rows]
        np.add(part, product, part)
''',
    "row_products": '''
def row_products(a, b, out):
    """The inner product of each row of a with the row of b."""
    return np.einsum("ab,ab->a", a, b, out=out)


row_products = getattr(np, "vecdot", row_products)  # faster, and there from NumPy 2 on
''',
    "windows": '''
def windows(array, start, shape, along):
    """A view from `start` on, each axis of which runs along one of the array's, or backwards along ~it."""
    array = np.ascontiguousarray(array)
    steps = array.strides
    first = sum([place * step for place, step in zip(start, steps)])
    return np.ndarray(shape, DTYPE, array, first, [steps[a] if a >= 0 else -steps[~a] for a in along])
''',
    "add_at": '''
def add_at(array, places, extra):
    """The array, with `extra` more at these places, all of them different."""
    array[places] += extra
    return array
''',
    "put_at": '''
def put_at(array, places, values):
    """The array, with other values at these places."""
    array[places] = values
    return array
''',
    "tail": '''
def tail(z, out=None):
    """log(1 + exp(-|z|)): what softplus(z) = log(1 + exp(z)) adds to max(z, 0)."""
    out = np.abs(z, out)
    np.negative(out, out)
    np.exp(out, out)
    return np.log1p(out, out)
''',
}
_JAX = {
    "sigmoid": '''
def sigmoid(z):
    """1 / (1 + exp(-z)), without overflow."""
    return jax.nn.sigmoid(z)
''',
    "tail": '''
def tail(z):
    """log(1 + exp(-|z|)): what softplus(z) = log(1 + exp(z)) adds to max(z, 0)."""
    return jnp.log1p(jnp.exp(-jnp.abs(z)))
''',
    "erf": '''
def erf(z):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to z."""
    return jax.scipy.special.erf(z)
''',
}
_TEXT["erf"] = '''
# Chebyshev coefficients of erf(z)/z in z^2 for |z| < 1, and of erfc(|z|) exp(z^2) in 2/(2 + |z|) beyond.
ERF_NEAR = [
    0.9754769393826541, -0.14226120510371365, 0.010035582187599796, -0.0005768764699767485,
    2.741993125219606e-05, -1.1043175507344507e-06, 3.8488755420345036e-08, -1.1808582533875466e-09,
    3.2334215826050435e-11, -7.991015946679151e-13, 1.7990723022320763e-14, -3.717374242306777e-16,
]
ERF_FAR = [
    0.23620044491493206, 0.16938077469474405, 0.020465878481022593, 0.0015137733662087666,
    2.8583850375151295e-05, -5.630015504717706e-06, -2.859695557856286e-07, 3.5307916015650344e-08,
    1.859886929942831e-09, -3.3136771846331446e-10, -6.196282510625845e-12, 3.4909095412562706e-12,
    -1.1731437561256873e-13, -3.1220508601111917e-14, 3.508660817537083e-15, 1.0878595062223676e-16,
    -5.3277446501705686e-17, 3.473830519401492e-18,
]


def erf(z):
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to z."""
    size = np.minimum(np.abs(z), 6.5)  # beyond, it is 1 to double precision
    near = z * np.polynomial.chebyshev.chebval(2 * np.minimum(size, 1) ** 2 - 1, ERF_NEAR)
    place = (102 / (2 + size) - 23) / 11
    far = 1 - np.exp(-(size**2)) * np.polynomial.chebyshev.chebval(place, ERF_FAR)
    return np.where(size < 1, near, np.copysign(far, z)).astype(DTYPE)
'''


def helper_text(name: str, module: str) -> str:
    """The text of the helper called `name` for the array module called `module`."""
    return (_TEXT if module == "np" else _JAX)[name].strip("\n") + "\n"


def header(title: str, dtype: str, module: str) -> str:
    """Docstring, import, the type, and numbers as arrays without axes, which NumPy's functions take faster."""
    if module == "jnp":
        note = '# In double precision only after jax.config.update("jax_enable_x64", True).\n'
        note = note if dtype == "float64" else ""
        return f'"""{title}"""\n\nimport jax\nimport jax.numpy as jnp\n\n{note}DTYPE = jnp.{dtype}\n'
    pairs = (("ZERO", "0"), ("HALF", "0.5"), ("ONE", "1"), ("TWO", "2"))
    least = "-709" if dtype == "float64" else "-88"  # exp(-LEAST) is finite
    numbers = "".join(f"{name} = np.array({value}, DTYPE)\n" for name, value in (*pairs, ("LEAST", least)))
    return f'"""{title}"""\n\nimport numpy as np\n\nDTYPE = np.{dtype}\n{numbers}'
