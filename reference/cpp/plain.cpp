// The expert as the plain loop that a C++ programmer writes first: no packing, no tiles, no intrinsics. The innermost
// loop runs over contiguous weights and carries no sum, so a compiler may vectorise it; whether it does is a flag.

#include "layer.hpp"

namespace {

struct PlainExperts {
    static constexpr int64_t ROWS = 16;
    moe::Layer layer;

    int64_t scratch() const { return 2 * layer.f; }

    // c [n] += a [k] times b [k, n]
    static void multiply(const float *a, const float *b, float *__restrict c, int64_t k, int64_t n) {
        for (int64_t i = 0; i < k; ++i)
            for (int64_t j = 0; j < n; ++j) c[j] += a[i] * b[i * n + j];
    }

    static void start(float *c, const float *bias, int64_t n) {
        for (int64_t j = 0; j < n; ++j) c[j] = bias ? bias[j] : 0;
    }

    void run(const moe::Block &block, const int64_t *pairs, const moe::Call &call, float *scratch, float *answers) {
        const int64_t d = layer.d, f = layer.f, e = block.expert;
        const auto activation = static_cast<moe::Activation>(layer.activation);
        float *hidden = scratch, *gate = scratch + f;
        for (int64_t row = block.first; row < block.first + block.count; ++row) {
            const float *x = call.x + pairs[row] / layer.top_k * d;
            float *answer = answers + pairs[row] * d;
            start(hidden, layer.b1 ? layer.b1 + e * f : nullptr, f);
            multiply(x, layer.w1 + e * d * f, hidden, d, f);
            if (layer.w_gate) {
                start(gate, nullptr, f);
                multiply(x, layer.w_gate + e * d * f, gate, d, f);
                moe::activate_all(activation, gate, f);
                for (int64_t j = 0; j < f; ++j) hidden[j] *= gate[j];
            } else {
                moe::activate_all(activation, hidden, f);
            }
            start(answer, layer.b2 ? layer.b2 + e * d : nullptr, d);
            multiply(hidden, layer.w2 + e * f * d, answer, f, d);
        }
    }
};

struct Prepared {
    PlainExperts experts;
    moe::Dispatch dispatch;
    std::vector<float> answers;
};

}  // namespace

extern "C" {

void *moe_prepare(const moe::Layer *layer) { return new Prepared{{*layer}, {}, {}}; }

void moe_forward(void *prepared, const moe::Call *call) {
    auto &p = *static_cast<Prepared *>(prepared);
    moe::forward(p.experts.layer, p.experts, *call, p.dispatch, p.answers);
}

void moe_release(void *prepared) { delete static_cast<Prepared *>(prepared); }
}
