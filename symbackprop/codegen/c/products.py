"""Matrix products in C for small and middling sizes: tiles of the result held in registers, on the compiler's vectors.

BLAS is at its best where matrices are large. A layer's products rarely are: a batch has ten rows, or a layer has
twenty-five units, and then most of BLAS's time goes into packing, or into the A B^T that it has no fast kernel for.
Main name: `products`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Rows of a tile where there are 32 registers of 64 bytes, and elsewhere; a tile is up to three vectors wide.
WIDE_TILES, TILES, VECTORS = (8, 4, 2, 1), (4, 2, 1), (3, 2, 1)
# Rows of A and of B in a tile of inner products.
WIDE_DOTS, DOTS = (5, 2, 1), (3, 1)

START = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define LANES ((long)(BYTES / sizeof(real)))
#define WIDE (3 * LANES)
// How deep a panel is, and whether numbers are copied side by side: measured for vectors of 32 bytes alone.
#define COPIES (BYTES == 32)
#define DEPTH (COPIES ? 192 : 128)
#define LEAST_DOTTED ((COPIES ? 32 : 4) * LANES)
#define BAND 32
#define BLOCK 96
typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef real vec32 __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));
typedef real vec16 __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));
#define AT(p) (*(vec *)(p))
// What is used several times is to be read from memory once: compilers read it for each multiplication.
#if defined(__AVX__) && !defined(__AVX512F__)
#define HELD(v) __asm__("" : "+x"(v))
#else
#define HELD(v)
#endif
typedef __typeof__((vec){0} < (vec){0}) mask;
static const real LANE[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static inline real total(vec v) {
    real t[LANES], sum = 0;
    AT(t) = v;
#if BYTES == 64
    *(vec32 *)t += *(vec32 *)(t + LANES / 2);
#endif
#if BYTES >= 32
    *(vec16 *)t += *(vec16 *)(t + 16 / (long)sizeof(real));
#endif
    for (long l = 0; l < 16 / (long)sizeof(real); l++) sum += t[l];
    return sum;
}

// How many numbers lie before the next place where a vector does not cross a cache line: one that does costs twice as
// much. If a row is a whole number of vectors, all rows have the same such places.
static inline long lead(const real *p, long row) {
    return row % LANES ? 0 : (long)((BYTES - (size_t)p % BYTES) % BYTES / sizeof(real));
}

// The sum of squares: four sums, so that no addition waits for the one before.
static real squares(long n, const real *a) {
    vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    real sum = 0;
    long k = 0;
    for (const long first = lead(a, LANES) < n ? lead(a, LANES) : n; k < first; k++) sum += a[k] * a[k];
    for (; k + 4 * LANES <= n; k += 4 * LANES) {
        const vec a0 = AT(a + k), a1 = AT(a + k + LANES), a2 = AT(a + k + 2 * LANES), a3 = AT(a + k + 3 * LANES);
        s0 += a0 * a0, s1 += a1 * a1, s2 += a2 * a2, s3 += a3 * a3;
    }
    for (; k < n; k++) sum += a[k] * a[k];
    return sum + total((s0 + s1) + (s2 + s3));
}

// Numbers that are read soon: where few of them lie side by side, a processor does not guess which come next.
static inline void soon(const real *p, long n) {
    __builtin_prefetch(p);
    __builtin_prefetch(p + n - 1);
}

// In what follows C = alpha A B + beta D; A[i * row + k * step] is row i, column k. D is C, which is not read where
// beta is 0, or another matrix, which always is: 0 * inf is nan.
#define ADDS (beta != 0 || D != C)
"""

TILED = """
// As many rows of B as a panel is wide, turned: numbers that are written lie side by side.
static void turn(long depth, const real *restrict b, long ldb, real *restrict panel) {
    for (long p = 0; p < depth; p++)
        for (long q = 0; q < WIDE; q++) panel[p * WIDE + q] = b[q * ldb + p];
}

static void tiles(long vectors, long M, long K, const real *A, long row, long step, const real *B, long ldb,
                  real alpha, real beta, const real *D, real *C, long ldc) {
    if (vectors == 3) tiles_3(M, K, A, row, step, B, ldb, alpha, beta, D, C, ldc);
    else if (vectors == 2) tiles_2(M, K, A, row, step, B, ldb, alpha, beta, D, C, ldc);
    else tiles_1(M, K, A, row, step, B, ldb, alpha, beta, D, C, ldc);
}

// Three vectors' worth of columns at a time, after the first few if C does not begin with a cache line. They are copied
// side by side, filled up with zeros, where B is turned, or they are no whole number of vectors, or they lie far apart
// and are read often; in the second case the result goes through a band of whole vectors, too. Rows of A whose entries
// lie far apart are copied as well, if enough columns read them.
static void tiled(int turned, long M, long N, long K, const real *A, long row, long step, const real *B, long ldb,
                  real alpha, real beta, const real *D, real *C) {
    real panel[DEPTH * WIDE] __attribute__((aligned(64))), band[BAND * WIDE] __attribute__((aligned(64)));
    real four[COPIES ? BLOCK * DEPTH : 1] __attribute__((aligned(64)));
    const long first = N >= 4 * WIDE && lead(C, N) ? lead(C, N) : WIDE;
    const int fours = COPIES && step != 1 && N >= 8 * WIDE;
    const long block = !COPIES ? M : fours ? BLOCK : 2 * BLOCK, high = COPIES ? 4 : M;
    for (long k = 0; k < K; k += DEPTH, beta = 1, D = C) {
        const long depth = K - k < DEPTH ? K - k : DEPTH;
        const int far = COPIES && M >= 2 * BAND && depth * ldb * (long)sizeof(real) > 1 << 15;
        for (long start = 0; start < M; start += block) {
            const long rows = M - start < block ? M - start : block, copied = fours ? rows / 4 * 4 : 0;
            const real *a = A + start * row + k * step;
            const real *Ds = D + start * N;
            real *Cs = C + start * N;
            for (long r = 0; r < copied; r += 4)
                for (long p = 0; p < depth; p++)
                    for (long q = 0; q < 4; q++) four[r * depth + p * 4 + q] = a[(r + q) * row + p * step];
            for (long j = 0, next; j < N; j = next) {
                next = j + (j ? WIDE : first) < N ? j + (j ? WIDE : first) : N;
                const long width = next - j, vectors = (width + LANES - 1) / LANES, whole = vectors * LANES;
                const real *b = turned ? B + j * ldb + k : B + k * ldb + j;
                long ld = ldb;
                if (turned || width < whole || far) {
                    if (width < whole) memset(panel, 0, sizeof(real) * depth * whole);
                    if (turned && width == WIDE) turn(depth, b, ldb, panel);
                    else if (turned)
                        for (long q = 0; q < width; q++)
                            for (long p = 0; p < depth; p++) panel[p * whole + q] = b[q * ldb + p];
                    else if (width == whole)
                        for (long p = 0; p < depth; p++)
                            for (long v = 0; v < whole; v += LANES) AT(panel + p * whole + v) = AT(b + p * ldb + v);
                    else
                        for (long p = 0; p < depth; p++)
                            for (long q = 0; q < width; q++) panel[p * whole + q] = b[p * ldb + q];
                    b = panel, ld = whole;
                }
                if (width == whole) {
                    const long share = far && !turned && next < N ? (depth * high + rows - 1) / rows : 0;
                    for (long r = 0, p = 0; r < rows; r += high) {
                        const long some = rows - r < high ? rows - r : high;
                        const long end = p + share < depth ? p + share : depth;
                        for (; share && p < end; p++) soon(B + (k + p) * ldb + next, WIDE);
                        const int is_copied = r < copied;
                        tiles(vectors, some, depth, is_copied ? four + r * depth : a + r * row, is_copied ? 1 : row,
                              is_copied ? 4 : step, b, ld, alpha, beta, Ds + r * N + j, Cs + r * N + j, N);
                    }
                    continue;
                }
                for (long i = 0; i < rows; i += BAND) {
                    const long some = rows - i < BAND ? rows - i : BAND;
                    tiles(vectors, some, depth, a + i * row, row, step, b, ld, alpha, 0, band, band, whole);
                    for (long r = 0; r < some; r++) {
                        const real *d = Ds + (i + r) * N + j;
                        real *c = Cs + (i + r) * N + j;
                        for (long q = 0; q < width; q++) c[q] = (ADDS ? beta * d[q] : 0) + band[r * whole + q];
                    }
                }
            }
        }
    }
}
"""

DOTTED = """
// C = alpha A B^T + beta D for few rows of A, to which turning B would not pay: inner products of rows.
static void dotted(long M, long N, long K, const real *A, long lda, const real *B, long ldb, real alpha, real beta,
                   const real *D, real *C) {
    const long before = lead(B, ldb);
    long j = 0;
    for (; j + SIDE <= N; j += SIDE) {
        long i = 0;
        ROWS(SIDE)
    }
    for (; j < N; j++) {
        long i = 0;
        ROWS(1)
    }
}
"""


def products() -> str:
    """The text of `squares`, `tiled` (A B, A^T B, A B^T) and `dotted` (A B^T for few rows)."""
    tiles = [_tile(r, v) for v in VECTORS for r in TILES]
    wide_only = [_tile(r, v) for v in VECTORS for r in WIDE_TILES if r not in TILES]
    parts = [START, *tiles, "#if BYTES == 64", *wide_only, *(_tiles(v, WIDE_TILES) for v in VECTORS), "#else"]
    parts += [*(_tiles(v, TILES) for v in VECTORS), "#endif", TILED]
    parts += ["#if BYTES == 64", *_dots(WIDE_DOTS), "#else", *_dots(DOTS), "#endif"]
    return "\n".join(parts)


def _tile(rows: int, vectors: int) -> str:
    """Rows times vectors of the result, each a variable of its own: the compiler keeps an array in memory."""
    every = [(r, v) for r in range(rows) for v in range(vectors)]
    lines = [
        f"static void tile_{rows}_{vectors}(long K, const real *A, long row, long step, const real *B, long ldb,"
        " real alpha, real beta, const real *D, real *C, long ldc) {",
        f"    vec {', '.join(f's{r}{v} = {{0}}' for r, v in every)};",
        f"    if (COPIES) for (long r = 0; r < {rows}; r++) soon(C + r * ldc, {vectors} * LANES);",
        "    for (long k = 0; k < K; k++, A += step, B += ldb) {",
        f"        vec {', '.join(f'b{v} = AT(B + {v} * LANES)' for v in range(vectors))};",
        f"        {' '.join(f'HELD(b{v});' for v in range(vectors))}",
    ]
    for r in range(rows):
        steps = " ".join(f"s{r}{v} += a{r} * b{v};" for v in range(vectors))
        lines.append(f"        const real a{r} = A[{r} * row]; {steps}")
    lines += ["    }", "    if (ADDS) {"]
    places = [f"{r} * ldc + {v} * LANES" for r, v in every]
    sums = [f"alpha * s{r}{v}" for r, v in every]
    lines += [f"        AT(C + {p}) = {s} + beta * AT(D + {p});" for p, s in zip(places, sums, strict=True)]
    lines += ["    } else {"]
    lines += [f"        AT(C + {p}) = {s};" for p, s in zip(places, sums, strict=True)]
    return "\n".join([*lines, "    }", "}"])


def _tiles(vectors: int, heights: Iterable[int]) -> str:
    """All rows, in tiles as high as fit."""
    lines = [
        f"static void tiles_{vectors}(long M, long K, const real *A, long row, long step, const real *B, long ldb,"
        " real alpha, real beta, const real *D, real *C, long ldc) {",
        "    long i = 0;",
    ]
    for height in heights:
        call = f"tile_{height}_{vectors}(K, A + i * row, row, step, B, ldb, alpha, beta, D + i * ldc, C + i * ldc, ldc)"
        lines.append(f"    for (; i + {height} <= M; i += {height}) {call};")
    return "\n".join([*lines, "}"])


def _dots(heights: Sequence[int]) -> list[str]:
    """Inner products of some rows of A and as many of B, or one."""
    side = heights[0]
    text = DOTTED
    for width in (side, 1):
        call = "K, before, A + i * lda, lda, B + j * ldb, ldb, alpha, beta, D + i * N + j, C + i * N + j, N"
        loops = [f"for (; i + {h} <= M; i += {h}) dot_{h}_{width}({call});" for h in heights]
        text = text.replace(f"ROWS({'SIDE' if width == side else width})", f"\n{' ' * 8}".join(loops))
    return [*(_dot(h, w) for w in (side, 1) for h in heights), text.replace("SIDE", str(side))]


def _dot(rows: int, columns: int) -> str:
    """Whole vectors from `before` on; then what lies before them and after, with the other lanes set to 0."""
    every = [(r, c) for c in range(columns) for r in range(rows)]
    lines = [
        f"static void dot_{rows}_{columns}(long K, long before, const real *A, long lda, const real *B, long ldb,"
        " real alpha, real beta, const real *D, real *C, long ldc) {",
        f"    vec {', '.join(f's{r}{c} = {{0}}' for r, c in every)};",
        "    long k = before;",
        "    for (; k + LANES <= K; k += LANES) {",
        *_dot_step(rows, columns, "AT({})", "k"),
        "    }",
        "    for (int end = before ? 0 : 1; end < (k < K ? 2 : 1); end++) {",
        "        const long place = end ? K - LANES : 0;",
        "        const mask in = end ? AT(LANE) >= (real)(LANES - (K - k)) : AT(LANE) < (real)before;",
        *_dot_step(rows, columns, "(vec)((mask)AT({}) & in)", "place"),
        "    }",
    ]
    for r, c in every:
        place = f"[{r} * ldc + {c}]"
        lines.append(f"    C{place} = alpha * total(s{r}{c}) + (ADDS ? beta * D{place} : 0);")
    return "\n".join([*lines, "}"])


def _dot_step(rows: int, columns: int, load: str, place: str) -> list[str]:
    a = ", ".join(f"a{r} = {load.format(f'A + {r} * lda + {place}')}" for r in range(rows))
    held = " ".join(f"HELD(a{r});" for r in range(rows)) if columns > 1 else ""
    lines = [f"        vec {a}; {held}".rstrip()]
    for c in range(columns):
        steps = " ".join(f"s{r}{c} += a{r} * b{c};" for r in range(rows))
        read = load.format(f"B + {c} * ldb + {place}")
        lines.append(f"        vec b{c} = {read}; {f'HELD(b{c}); ' if rows > 1 else ''}{steps}")
    return lines
