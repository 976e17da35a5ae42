"""Growing and reading trees on CuPy's arrays; see `portml.backends.kernels.trees`.

Codes are counted, not sorted, where the cells of all nodes, columns and codes fit into memory: a thread adds each
sample of each column to its cell, and then a thread looks through the cells of each node and column.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.fixed_point import ADD_FIXED, TO_REAL, bits_for
from portml.backends.cuda.glue import outputs, store
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import trees as twins
from portml.backends.namespaces import Array, device_of, namespace

__all__: list[str] = []

MOST_CELLS = 1 << 26
"""Sums that are held at a time; of more cells, samples are sorted as in the twin."""

CODES = ("uint8", "int32")

ROUTE_SAMPLES = {
    code: CudaKernel(
        f"route_samples_{code}",
        f"const {code}* codes, const int32* node_of, const int64* feature, const int64* last, "
        "const bool* missing_left, const int32* left, const int32* right, int64 missing_code, int32* child",
        """
        const int32 node = node_of[i];
        if (node < 0) { child[i] = node; continue; }
        const int64 found = codes[feature[node] * n + i];
        const bool goes_left = found == missing_code ? missing_left[node] : found <= last[node];
        child[i] = goes_left ? left[node] : right[node];
        """,
        types=(),
    )
    for code in CODES
}

TREE_LEAVES = CudaKernel(
    "tree_leaves",
    "const T* x, const int64* feature, const double* threshold, const bool* missing_left, const int64* left, "
    "const int64* right, int64 features, int64* leaf",
    """
    int64 node = 0;
    while (left[node] >= 0) {
      const double value = x[i * features + feature[node]];
      const bool goes_left = value != value ? missing_left[node] : value <= threshold[node];
      node = goes_left ? left[node] : right[node];
    }
    leaf[i] = node;
    """,
)

# A cell holds how many samples there are, and then sums: the weight of each class, or weight and weight times target.
COUNT_CELLS = {
    code: CudaKernel(
        f"count_cells_{code}",
        f"const {code}* codes, const int32* samples, const int64* node, const int32* classes, const double* values, "
        "const double* weights, const double* largest, int64 features, int64 listed, int64 n_samples, int64 n_codes, "
        "int64 n_sums, int64 bits, int64* cells",
        """
        const int64 column = i / listed, place = i % listed, sample = samples[place];
        const int64 cell = (node[place] * features + column) * n_codes + codes[column * n_samples + sample];
        const double weight = weights ? weights[sample] : 1.0;
        int64* sums = cells + cell * n_sums;
        add(sums, 1);
        if (classes) {
          add(sums + 1 + classes[sample], to_fixed(weight, largest[0], bits));
        } else {
          add(sums + 1, to_fixed(weight, largest[0], bits));
          add(sums + 2, to_fixed(weight * values[sample], largest[1], bits));
        }
        """,
        preamble=ADD_FIXED,
        types=(),
    )
    for code in CODES
}

# A thread takes a node's column.  It goes through the codes twice where values are missing: with these on the right,
# and on the left.  A split is looked at when the next code that occurs is met.
SEARCH_CELLS = CudaKernel(
    "search_cells",
    "const int64* cells, const double* largest, int64 n_codes, int64 n_sums, int64 bits, int64 criterion, "
    "int64 missing, int64 least, double least_weight, int64* room, double* scores, int64* codes, int64* next, "
    "bool* missing_left, int64* n_left, bool* varies, double tie, double* tied",
    """
    const int64 k = n_sums - 1;
    const int64* mine = cells + i * n_codes * n_sums;
    const int64* absent = mine + (n_codes - 1) * n_sums;
    int64 *total = room + i * 2 * k, *left = total + k;
    int64 count = 0, occupied = 0;
    for (int64 s = 0; s < k; ++s) total[s] = 0;
    for (int64 code = 0; code < n_codes; ++code) {
      count += mine[code * n_sums];
      occupied += mine[code * n_sums] > 0;
      for (int64 s = 0; s < k; ++s) total[s] += mine[code * n_sums + 1 + s];
    }
    const int64 n_absent = missing ? absent[0] : 0;
    double weight = 0.0;
    for (int64 s = 0; s < (criterion == 2 ? 1 : k); ++s) weight += to_real(total[s], largest[0], bits);
    double best = -INFINITY, bar = -INFINITY;
    int64 best_code = 0, best_next = 0, best_left = 0;
    bool side = false;
    for (int turn = 0; turn < (n_absent > 0 ? 2 : 1); ++turn) {
      int64 n_here = turn ? n_absent : 0, before = -1;
      for (int64 s = 0; s < k; ++s) left[s] = turn ? absent[1 + s] : 0;
      for (int64 code = 0; code < n_codes - turn; ++code) {
        const int64* cell = mine + code * n_sums;
        if (cell[0] == 0) continue;
        if (before >= 0 && n_here >= least && count - n_here >= least) {
          const double score = score_of(left, total, largest, k, bits, criterion, least_weight);
          if (score > bar) {
            best = score;
            bar = score + tie * (criterion == 1 ? weight : fabs(score));
            best_code = before;
            best_next = code;
            best_left = n_here;
            side = turn == 1;
          }
        }
        n_here += cell[0];
        for (int64 s = 0; s < k; ++s) left[s] += cell[1 + s];
        before = code;
      }
    }
    scores[i] = best;
    codes[i] = best_code;
    next[i] = best_next;
    n_left[i] = best_left;
    missing_left[i] = n_absent > 0 ? side : 2 * best_left > count;
    varies[i] = occupied > 1;
    tied[i] = best - tie * (criterion == 1 ? weight : fabs(best));
    """,
    preamble=TO_REAL
    + """
__device__ double score_of_class(double weight, int64 criterion) {
  return criterion == 0 ? weight * weight : weight > 0.0 ? weight * log2(weight) : 0.0;
}
__device__ double score_of(const int64* left, const int64* total, const double* largest, int64 k, int64 bits,
                           int64 criterion, double least_weight) {
  double score = 0.0;
  for (int side = 0; side < 2; ++side) {
    double weight = 0.0, sum = 0.0;
    if (criterion == 2) {
      weight = to_real(side ? total[0] - left[0] : left[0], largest[0], bits);
      sum = to_real(side ? total[1] - left[1] : left[1], largest[1], bits);
      sum *= sum;
    } else {
      for (int64 s = 0; s < k; ++s) {
        const double of_class = to_real(side ? total[s] - left[s] : left[s], largest[0], bits);
        weight += of_class;
        sum += score_of_class(of_class, criterion);
      }
    }
    if (weight < least_weight) return -INFINITY;
    const double divisor = weight > 0.0 ? weight : 1.0;
    score += criterion == 1 ? sum - divisor * log2(divisor) : sum / divisor;
  }
  return score;
}
""",
    types=(),
)

# A block takes a row's node: every thread its best, and then the best of these; of equals the first place.
BEST_IN_NODES = CudaKernel(
    "best_in_nodes",
    "const T* scores, const int64* starts, int64 listed, int64 nodes, T* best, int64* position",
    """
    __shared__ T values[THREADS];
    __shared__ int64 places[THREADS];
    const int64 node = row % nodes, end = starts[node + 1];
    const T* mine = scores + row / nodes * listed;
    const int lane = threadIdx.x;
    T own = -INFINITY;
    int64 place = starts[node];
    for (int64 p = starts[node] + lane; p < end; p += THREADS) {
      if (mine[p] > own) { own = mine[p]; place = p; }
    }
    values[lane] = own;
    places[lane] = place;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
      if (lane < half) {
        const T that = values[lane + half];
        const int64 there = places[lane + half];
        if (that > values[lane] || (that == values[lane] && there < places[lane])) {
          values[lane] = that;
          places[lane] = there;
        }
      }
      __syncthreads();
    }
    if (lane == 0) {
      best[row] = values[0];
      position[row] = places[0];
    }
    """,
    style="block",
)


# Registered as they are: codes and numbers of nodes are integers, and thresholds float64 whatever the table is.
@twins.route_samples.on("cupy")
def _route_samples(
    codes: Array,
    node_of: Array,
    feature: Array,
    code: Array,
    missing_left: Array,
    left: Array,
    right: Array,
    *,
    n_codes: int,
    missing: bool,
    out: Any = None,
) -> Array:
    codes, kernel = _codes(codes, ROUTE_SAMPLES)
    child = destination(out, node_of.shape, node_of.dtype, node_of)
    given = map(contiguous, (node_of, feature, code, missing_left, left, right))
    launch(kernel, codes, *given, n_codes - 1 if missing else -1, child, size=node_of.shape[0])
    return deliver(child, out)


@twins.tree_leaves.on("cupy")
def _tree_leaves(
    X: Array,
    feature: Array,
    threshold: Array,
    missing_left: Array,
    left: Array,
    right: Array,
    *,
    depth: int,
    out: Any = None,
) -> Array:
    if X.dtype.name not in ("float32", "float64"):
        nodes = (feature, threshold, missing_left, left, right)
        return store(twins.tree_leaves.agnostic(X, *nodes, depth=depth), out)
    xp = namespace(X, feature, threshold)
    leaf = destination(out, (X.shape[0],), xp.int64, X)
    questions = (contiguous(feature, xp.int64), contiguous(threshold, xp.float64), contiguous(missing_left))
    children = (contiguous(left, xp.int64), contiguous(right, xp.int64))
    launch(TREE_LEAVES, contiguous(X), *questions, *children, X.shape[1], leaf, size=X.shape[0])
    return deliver(leaf, out)


@twins.best_in_nodes.on("cupy")
def _best_in_nodes(scores: Array, node: Array, starts: Array, *, out: Any = None) -> tuple[Array, Array]:
    to_best, to_position = outputs(out, 2)
    shape, n_nodes = (scores.shape[0], starts.shape[0] - 1), starts.shape[0] - 1
    best = destination(to_best, shape, scores.dtype, scores)
    position = destination(to_position, shape, namespace(scores).int64, scores)
    given = (contiguous(scores), contiguous(starts, namespace(scores).int64), scores.shape[1], n_nodes)
    launch(BEST_IN_NODES, *given, best, position, blocks=shape[0] * n_nodes)
    return deliver(best, to_best), deliver(position, to_position)


@twins.split_nodes.on("cupy")
def _split_nodes(
    codes: Array,
    orders: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    keys: Array,
    *,
    criterion: str,
    n_classes: int,
    n_codes: int,
    presorted: bool,
    missing: bool,
    min_samples_leaf: int,
    min_weight_leaf: float,
    max_features: int,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    n_nodes, n_features, of_values = keys.shape[0], codes.shape[0], criterion == "squared_error"
    n_sums = 1 + (2 if of_values else n_classes)
    if presorted or n_nodes * n_features * n_codes * n_sums > MOST_CELLS:
        options = {"presorted": presorted, "missing": missing, "max_features": max_features}
        return twins.split_nodes.agnostic(  # type: ignore[no-any-return]
            *(codes, orders, starts, targets, weights, keys),
            criterion=criterion,
            n_classes=n_classes,
            n_codes=n_codes,
            min_samples_leaf=min_samples_leaf,
            min_weight_leaf=min_weight_leaf,
            **options,
        )
    xp, device = namespace(codes, orders), device_of(codes)
    largest, bits = _largest(targets, weights, of_values), bits_for(orders.shape[1])
    cells = xp.zeros((n_nodes, n_features, n_codes, n_sums), dtype=xp.int64, device=device)
    _count(codes, orders[0, :], starts, targets, weights, largest, bits, cells, of_values)

    shape = (n_nodes, n_features)
    room = xp.empty((*shape, 2 * (n_sums - 1)), dtype=xp.int64, device=device)
    score, tied = (xp.empty(shape, dtype=xp.float64, device=device) for _ in range(2))
    code, following, n_left = (xp.empty(shape, dtype=xp.int64, device=device) for _ in range(3))
    side, varies = (xp.empty(shape, dtype=xp.bool, device=device) for _ in range(2))
    rules = (twins.CRITERIA.index(criterion), int(missing), int(min_samples_leaf), float(min_weight_leaf))
    found = (score, code, following, side, n_left, varies, twins.TIE, tied)
    launch(SEARCH_CELLS, cells, largest, n_codes, n_sums, bits, *rules, room, *found, size=n_nodes * n_features)

    by_column = [xp.matrix_transpose(each) for each in (score, tied, varies)]
    feature = twins.best_column(by_column[0], by_column[1], by_column[2], keys, max_features)
    score, code, following, side, n_left = (
        xp.take_along_axis(each, feature[:, None], axis=1)[:, 0] for each in (score, code, following, side, n_left)
    )
    is_split = score > -xp.inf
    return score, xp.where(is_split, feature, 0), code, following, side & is_split, n_left


def _count(
    codes: Array,
    samples: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    largest: Array,
    bits: int,
    cells: Array,
    of_values: bool,
) -> None:
    """Add the samples to their cells (n_nodes, n_features, n_codes, n_sums)."""
    xp, (n_features, n_samples), listed = namespace(codes), codes.shape, samples.shape[0]
    place = xp.arange(listed, dtype=starts.dtype, device=device_of(codes))
    node = contiguous(xp.searchsorted(starts[1:], place, side="right"), xp.int64)
    codes, kernel = _codes(codes, COUNT_CELLS)
    classes, values = (None, contiguous(targets, xp.float64)) if of_values else (contiguous(targets, xp.int32), None)
    arrays = (contiguous(samples, xp.int32), node, classes, values, contiguous(weights, xp.float64), largest)
    sizes = (n_features, listed, n_samples, *cells.shape[2:], bits)
    launch(kernel, codes, *arrays, *map(int, sizes), cells, size=n_features * listed)


def _largest(targets: Array, weights: Array, of_values: bool) -> Array:
    """The largest weight and the largest size of weight times target, (2,) of float64; it stays on the device."""
    xp = namespace(targets, weights)
    one = xp.ones((1,), dtype=xp.float64, device=device_of(targets))
    weight = one if weights is None else xp.astype(weights, xp.float64)
    value = weight * xp.astype(targets, xp.float64) if of_values else one
    return xp.stack([xp.max(weight), xp.max(xp.abs(value))])


def _codes(codes: Array, kernels: dict[str, CudaKernel]) -> tuple[Array, CudaKernel]:
    """Codes of a type that there is a kernel for, and that kernel."""
    name = codes.dtype.name if codes.dtype.name in kernels else "int32"
    return contiguous(codes, getattr(namespace(codes), name)), kernels[name]
