// What every C++ baseline shares: the layer as Python hands it over, the router, dispatch and combine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace moe {

enum Activation : int64_t { RELU, GELU, GELU_TANH, SILU };

// Field for field the ctypes.Structure of reference/cpp_layer.py. Absent tensors are null.
struct Layer {
    int64_t d, f, experts, top_k, activation, renormalize;
    const float *router, *router_bias;        // [d, E], [E]
    const float *w1, *b1, *w2, *b2, *w_gate;  // [E, d, f], [E, f], [E, f, d], [E, d], [E, d, f]
};

// One call: tokens x [T, d] in, and out [T, d], ids [T, k], weights [T, k] to fill.
struct Call {
    int64_t tokens;
    const float *x;
    float *out;
    int64_t *ids;
    float *weights;
};

inline float activate(Activation activation, float h) {
    switch (activation) {
        case RELU: return h > 0 ? h : 0;
        case GELU: return 0.5f * h * (1 + std::erf(h * 0.70710678f));
        case GELU_TANH: return 0.5f * h * (1 + std::tanh(0.79788456f * (h + 0.044715f * h * h * h)));
        case SILU: return h / (1 + std::exp(-h));
    }
    return h;
}

// act over n values; the kind is decided outside of the loop, so that the loop can be vectorised.
inline void activate_all(Activation activation, float *h, int64_t n) {
    if (activation == RELU) {
        for (int64_t j = 0; j < n; ++j) h[j] = h[j] > 0 ? h[j] : 0;
    } else {
        for (int64_t j = 0; j < n; ++j) h[j] = activate(activation, h[j]);
    }
}

// Softmax and top-k of one token; ties go to the lowest id. `logits` has room for E values.
inline void route(const Layer &layer, const float *x, float *logits, int64_t *ids, float *weights) {
    const int64_t E = layer.experts;
    for (int64_t e = 0; e < E; ++e) logits[e] = layer.router_bias ? layer.router_bias[e] : 0;
    for (int64_t i = 0; i < layer.d; ++i)
        for (int64_t e = 0; e < E; ++e) logits[e] += x[i] * layer.router[i * E + e];
    const float largest = *std::max_element(logits, logits + E);
    float total = 0;
    for (int64_t e = 0; e < E; ++e) total += std::exp(logits[e] - largest);
    float chosen = 0;
    for (int64_t slot = 0; slot < layer.top_k; ++slot) {
        int64_t best = std::max_element(logits, logits + E) - logits;
        ids[slot] = best;
        weights[slot] = std::exp(logits[best] - largest);
        chosen += weights[slot];
        logits[best] = -INFINITY;
    }
    for (int64_t slot = 0; slot < layer.top_k; ++slot) weights[slot] /= layer.renormalize ? chosen : total;
}

// Up to `rows` pairs of one expert: the unit of work that a thread takes.
struct Block {
    int64_t expert, first, count;
};

// (token, slot) pairs sorted by expert, and cut into blocks. Pair p is slot p % k of token p / k.
struct Dispatch {
    std::vector<int64_t> pairs;
    std::vector<Block> blocks;

    void sort(const Layer &layer, const Call &call, int64_t rows) {
        std::vector<int64_t> end(layer.experts, 0);
        const int64_t n = call.tokens * layer.top_k;
        pairs.resize(n);
        blocks.clear();
        for (int64_t p = 0; p < n; ++p) ++end[call.ids[p]];
        for (int64_t e = 0, first = 0; e < layer.experts; ++e) {
            const int64_t count = end[e];
            for (int64_t done = 0; done < count; done += rows)
                blocks.push_back({e, first + done, std::min(rows, count - done)});
            end[e] = first;
            first += count;
        }
        for (int64_t p = 0; p < n; ++p) pairs[end[call.ids[p]]++] = p;
    }
};

// out[t] = sum over its slots of weight * answer, in the order of the slots: the same from run to run.
inline void combine(const Layer &layer, const Call &call, const float *answers, int64_t t) {
    float *out = call.out + t * layer.d;
    for (int64_t j = 0; j < layer.d; ++j) out[j] = 0;
    for (int64_t slot = 0; slot < layer.top_k; ++slot) {
        const int64_t p = t * layer.top_k + slot;
        const float weight = call.weights[p];
        for (int64_t j = 0; j < layer.d; ++j) out[j] += weight * answers[p * layer.d + j];
    }
}

// The whole layer in one parallel region. `Experts` has ROWS, `scratch()` floats per thread, and
// `run(block, pairs, call, scratch, answers)`, which fills the answers [T*k, d] of a block's pairs.
template <class Experts>
void forward(const Layer &layer, Experts &experts, const Call &call, Dispatch &dispatch, std::vector<float> &answers) {
    answers.resize(call.tokens * layer.top_k * layer.d);
#pragma omp parallel
    {
        std::vector<float> scratch(experts.scratch());
        std::vector<float> logits(layer.experts);
#pragma omp for schedule(static)
        for (int64_t t = 0; t < call.tokens; ++t)
            route(layer, call.x + t * layer.d, logits.data(), call.ids + t * layer.top_k,
                  call.weights + t * layer.top_k);
#pragma omp single
        dispatch.sort(layer, call, Experts::ROWS);
#pragma omp for schedule(dynamic)
        for (size_t b = 0; b < dispatch.blocks.size(); ++b)
            experts.run(dispatch.blocks[b], dispatch.pairs.data(), call, scratch.data(), answers.data());
#pragma omp for schedule(static)
        for (int64_t t = 0; t < call.tokens; ++t) combine(layer, call, answers.data(), t);
    }
}

}  // namespace moe
