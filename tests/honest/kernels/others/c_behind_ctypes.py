"""Plain C, compiled when the file is loaded: bare pointers, nothing checked."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

SOURCE = r"""
#include <math.h>
#include <stdlib.h>
void moe(const float *x, const float *r, const float *w1, const float *w2, float *out, long T, long d, long f, long E,
         long k) {
  float *z = malloc(E * sizeof *z), *h = malloc(f * sizeof *h);
  long *chosen = malloc(k * sizeof *chosen);
  char *used = malloc(E);
  for (long t = 0; t < T; t++) {
    const float *row = x + t * d;
    for (long e = 0; e < E; e++) {
      z[e] = 0;
      used[e] = 0;
      for (long i = 0; i < d; i++) z[e] += row[i] * r[i * E + e];
    }
    for (long j = 0; j < k; j++) {
      long best = -1;
      for (long e = 0; e < E; e++)
        if (!used[e] && (best < 0 || z[e] > z[best])) best = e;
      chosen[j] = best;
      used[best] = 1;
    }
    float sum = 0;
    for (long j = 0; j < k; j++) sum += expf(z[chosen[j]] - z[chosen[0]]);
    for (long i = 0; i < d; i++) out[t * d + i] = 0;
    for (long j = 0; j < k; j++) {
      long e = chosen[j];
      for (long c = 0; c < f; c++) h[c] = 0;
      for (long i = 0; i < d; i++)
        for (long c = 0; c < f; c++) h[c] += row[i] * w1[(e * d + i) * f + c];
      for (long c = 0; c < f; c++) {
        float v = (h[c] > 0 ? h[c] : 0) * expf(z[e] - z[chosen[0]]) / sum;
        for (long i = 0; i < d; i++) out[t * d + i] += v * w2[(e * f + c) * d + i];
      }
    }
  }
  free(z), free(h), free(chosen), free(used);
}
"""

folder = Path(tempfile.mkdtemp(prefix="kernel-"))
(folder / "moe.c").write_text(SOURCE)
subprocess.check_call(["gcc", "-O3", "-shared", "-fPIC", str(folder / "moe.c"), "-o", str(folder / "moe.so"), "-lm"])
library = ctypes.CDLL(str(folder / "moe.so"))
(folder / "moe.so").unlink()
(folder / "moe.c").unlink()
folder.rmdir()
library.moe.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_long] * 5


def prepare(layer):
    c = layer.config
    kept = [tensor.contiguous() for tensor in (layer.router_weight, layer.w1, layer.w2)]

    def forward(x, out):
        weights = (tensor.data_ptr() for tensor in kept)
        library.moe(x.data_ptr(), *weights, out.data_ptr(), len(x), c.d_model, c.d_ff, c.n_experts, c.top_k)

    return forward
