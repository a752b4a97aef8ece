// The algorithm of the kernel under validation, in C++: weights packed once into panels, a register tile written with
// the compiler's vector types, blocks of one expert's rows through both matmuls while their hidden values are in L2.

#include <cstdlib>
#include <cstring>
#include <new>

#include "layer.hpp"

namespace {

#ifdef __AVX512F__
// 32 registers of 16 floats: 6 x 4 sums, 4 weights and 1 broadcast are 29.
constexpr int LANES = 16, TILE_VECTORS = 4;
#else
// 16 registers of 8 floats: 6 x 2 sums, 2 weights and 1 broadcast are 15.
constexpr int LANES = 8, TILE_VECTORS = 2;
#endif
constexpr int TILE_ROWS = 6;
constexpr int64_t TILE_COLUMNS = LANES * TILE_VECTORS;

// Depth of a pass: a panel of 512 x 64 floats is 128 KB and stays in L2 for all rows of the block.
constexpr int64_t DEPTH = 512;

typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), may_alias));

// sum [R, TILE_COLUMNS] over `depth`: rows[r][i] times panel [depth, TILE_COLUMNS], added to or stored in c [R, ldc].
template <int R>
void tile(int64_t depth, const float *const *rows, int64_t at, const float *panel, float *c, int64_t ldc, bool add) {
    Vector sum[R][TILE_VECTORS] = {};
    const float *a[R];
    for (int r = 0; r < R; ++r) a[r] = rows[r] + at;
    for (int64_t i = 0; i < depth; ++i, panel += TILE_COLUMNS) {
        Vector b[TILE_VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < TILE_VECTORS; ++v) b[v] = *reinterpret_cast<const Vector *>(panel + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vector s = Vector{} + a[r][i];
#pragma GCC unroll 8
            for (int v = 0; v < TILE_VECTORS; ++v) sum[r][v] += s * b[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < TILE_VECTORS; ++v) {
            float *to = c + r * ldc + v * LANES;  // of no known alignment
            Vector before = {};
            if (add) std::memcpy(&before, to, sizeof before);
            const Vector after = before + sum[r][v];
            std::memcpy(to, &after, sizeof after);
        }
}

using Tile = void (*)(int64_t, const float *const *, int64_t, const float *, float *, int64_t, bool);
constexpr Tile TILES[TILE_ROWS + 1] = {nullptr, tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};


int64_t padded(int64_t n) { return (n + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS; }

// The experts' matrices [E, k, n] as panels [E, n/TILE_COLUMNS, k, TILE_COLUMNS], the last one filled with zeros.
struct Panels {
    int64_t k = 0, n = 0;
    float *data = nullptr;

    Panels() = default;
    Panels(const Panels &) = delete;
    Panels &operator=(const Panels &) = delete;
    ~Panels() { std::free(data); }

    void pack(const float *matrices, int64_t experts, int64_t depth, int64_t columns) {
        k = depth;
        n = columns;
        const int64_t size = k * padded(n);
        data = static_cast<float *>(std::aligned_alloc(64, experts * size * sizeof(float)));
        if (!data) throw std::bad_alloc();
#pragma omp parallel for collapse(2) schedule(static)
        for (int64_t e = 0; e < experts; ++e)
            for (int64_t first = 0; first < n; first += TILE_COLUMNS) {
                const int64_t there = std::min(TILE_COLUMNS, n - first);
                for (int64_t i = 0; i < k; ++i) {
                    float *to = data + e * size + first * k + i * TILE_COLUMNS;
                    std::memcpy(to, matrices + (e * k + i) * n + first, there * sizeof(float));
                    std::memset(to + there, 0, (TILE_COLUMNS - there) * sizeof(float));
                }
            }
    }

    // c [count, padded(n)] = rows [count, k] times the expert's matrix
    void multiply(int64_t expert, const float *const *rows, int64_t count, float *c) const {
        const float *matrix = data + expert * k * padded(n);
        const int64_t ldc = padded(n);
        for (int64_t at = 0; at < k; at += DEPTH) {
            const int64_t depth = std::min(DEPTH, k - at);
            for (int64_t first = 0; first < n; first += TILE_COLUMNS)
                for (int64_t row = 0; row < count; row += TILE_ROWS)
                    TILES[std::min<int64_t>(TILE_ROWS, count - row)](depth, rows + row, at,
                                                                    matrix + first * k + at * TILE_COLUMNS,
                                                                    c + row * ldc + first, ldc, at > 0);
        }
    }
};

struct PackedExperts {
    static constexpr int64_t ROWS = 48;
    moe::Layer layer;
    Panels up, gate, down;

    int64_t scratch() const { return ROWS * (2 * padded(layer.f) + padded(layer.d)); }

    void run(const moe::Block &block, const int64_t *pairs, const moe::Call &call, float *scratch, float *answers) {
        const int64_t d = layer.d, f = layer.f, ld = padded(f), e = block.expert;
        const auto activation = static_cast<moe::Activation>(layer.activation);
        float *hidden = scratch, *opening = hidden + ROWS * ld, *result = opening + ROWS * ld;
        const float *rows[ROWS];
        for (int64_t r = 0; r < block.count; ++r) rows[r] = call.x + pairs[block.first + r] / layer.top_k * d;
        up.multiply(e, rows, block.count, hidden);
        if (layer.w_gate) gate.multiply(e, rows, block.count, opening);
        for (int64_t r = 0; r < block.count; ++r) {
            float *h = hidden + r * ld, *g = opening + r * ld;
            if (layer.b1)
                for (int64_t j = 0; j < f; ++j) h[j] += layer.b1[e * f + j];
            moe::activate_all(activation, layer.w_gate ? g : h, f);
            if (layer.w_gate)
                for (int64_t j = 0; j < f; ++j) h[j] *= g[j];
            rows[r] = h;
        }
        down.multiply(e, rows, block.count, result);
        for (int64_t r = 0; r < block.count; ++r) {
            float *answer = answers + pairs[block.first + r] * d;
            for (int64_t j = 0; j < d; ++j)
                answer[j] = result[r * padded(d) + j] + (layer.b2 ? layer.b2[e * d + j] : 0);
        }
    }
};

struct Prepared {
    PackedExperts experts;
    moe::Dispatch dispatch;
    std::vector<float> answers;
};

}  // namespace

extern "C" {

void *moe_prepare(const moe::Layer *layer) {
    auto *prepared = new Prepared;
    PackedExperts &experts = prepared->experts;
    experts.layer = *layer;
    experts.up.pack(layer->w1, layer->experts, layer->d, layer->f);
    experts.down.pack(layer->w2, layer->experts, layer->f, layer->d);
    if (layer->w_gate) experts.gate.pack(layer->w_gate, layer->experts, layer->d, layer->f);
    return prepared;
}

void moe_forward(void *prepared, const moe::Call *call) {
    auto &p = *static_cast<Prepared *>(prepared);
    moe::forward(p.experts.layer, p.experts, *call, p.dispatch, p.answers);
}

void moe_release(void *prepared) { delete static_cast<Prepared *>(prepared); }
}
