// CUDA C++ for the host: enough of the language to execute this project's kernels in tests, on one core.
//
// The threads of a block are fibres: each runs until the next __syncthreads(), then the next one does.  So a run is
// reproducible, a forgotten barrier gives a wrong result every time instead of now and then, and running the fibres in
// the opposite order must give the same bits.  Shared memory is filled with NaN before each block.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <type_traits>
#include <utility>

#define __global__
#define __device__ __attribute__((unused))
#define __host__
#define __forceinline__
#define __noinline__
#define __restrict__
#define __constant__ static const
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("portml_shared")))

extern "C" char __start_portml_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_portml_shared[] __attribute__((weak, visibility("hidden")));

namespace on_host {

struct Index { unsigned x, y, z; };

enum class State { fresh, waiting, finished };

struct Fibre {
  ucontext_t context;
  jmp_buf resume;
  State state = State::fresh;
};

static constexpr size_t stack_size = 64 * 1024;

static void (*kernel_call)(void*) = nullptr;
static void* kernel_arguments = nullptr;
static jmp_buf scheduler;
static Fibre* current = nullptr;

__attribute__((noinline)) static void leave(State state) {
  current->state = state;
  if (_setjmp(current->resume) == 0) _longjmp(scheduler, 1);
}

static void fibre_main() {
  for (;;) {
    kernel_call(kernel_arguments);
    leave(State::finished);
  }
}

__attribute__((noinline)) static void enter(Fibre& fibre, char* stack) {
  current = &fibre;
  if (_setjmp(scheduler) != 0) return;
  if (fibre.state != State::fresh) _longjmp(fibre.resume, 1);
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = stack;
  fibre.context.uc_stack.ss_size = stack_size;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, fibre_main, 0);
  setcontext(&fibre.context);
}

}  // namespace on_host

static on_host::Index threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim{1, 1, 1}, gridDim{1, 1, 1};

static inline void __syncthreads() { on_host::leave(on_host::State::waiting); }
static inline void __syncwarp(unsigned = 0xffffffffu) {}
static inline void __threadfence() {}

// Single-threaded, so that an ordinary read and write is atomic.
template <class A, class V> static inline A atomicAdd(A* p, V v) { A old = *p; *p = old + A(v); return old; }
template <class A, class V> static inline A atomicSub(A* p, V v) { A old = *p; *p = old - A(v); return old; }
template <class A, class V> static inline A atomicMax(A* p, V v) { A old = *p; if (A(v) > old) *p = A(v); return old; }
template <class A, class V> static inline A atomicMin(A* p, V v) { A old = *p; if (A(v) < old) *p = A(v); return old; }
template <class A, class V> static inline A atomicOr(A* p, V v) { A old = *p; *p = old | A(v); return old; }
template <class A, class V> static inline A atomicAnd(A* p, V v) { A old = *p; *p = old & A(v); return old; }
template <class A, class V> static inline A atomicExch(A* p, V v) { A old = *p; *p = A(v); return old; }
template <class A> static inline A atomicCAS(A* p, A expected, A v) { A old = *p; if (old == expected) *p = v; return old; }

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
template <class A> static inline A __ldg(const A* p) { return *p; }

template <class To, class From> static inline To on_host_bits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}
static inline float __int_as_float(int x) { return on_host_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return on_host_bits<float>(x); }
static inline int __float_as_int(float x) { return on_host_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return on_host_bits<unsigned>(x); }
static inline double __longlong_as_double(long long x) { return on_host_bits<double>(x); }
static inline long long __double_as_longlong(double x) { return on_host_bits<long long>(x); }

// CUDA's max and min drop a NaN, as fmax and fmin do.
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
#define ON_HOST_INTEGER(type)                                              \
  static inline type max(type a, type b) { return a > b ? a : b; }        \
  static inline type min(type a, type b) { return a < b ? a : b; }
ON_HOST_INTEGER(int)
ON_HOST_INTEGER(unsigned)
ON_HOST_INTEGER(long long)
ON_HOST_INTEGER(unsigned long long)
#undef ON_HOST_INTEGER

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
static inline double sinpi(double x) { return ::sin(M_PI * x); }
static inline double cospi(double x) { return ::cos(M_PI * x); }
static inline float sinpif(float x) { return (float)::sin(M_PI * (double)x); }
static inline float cospif(float x) { return (float)::cos(M_PI * (double)x); }
static inline float sinpi(float x) { return sinpif(x); }
static inline float cospi(float x) { return cospif(x); }
static inline void sincospi(double x, double* s, double* c) { *s = sinpi(x); *c = cospi(x); }
static inline void sincospif(float x, float* s, float* c) { *s = sinpif(x); *c = cospif(x); }
static inline void sincospi(float x, float* s, float* c) { sincospif(x, s, c); }
static inline double normcdf(double x) { return 0.5 * ::erfc(-x * M_SQRT1_2); }
static inline float normcdff(float x) { return (float)normcdf((double)x); }
static inline float normcdf(float x) { return normcdff(x); }
// The C library keeps these names for itself, so they are macros here.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
static inline float __fdividef(float x, float y) { return x / y; }
// Arithmetic that a compiler must not contract into one operation; the host is compiled without contraction.
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline double __dadd_rn(double x, double y) { return x + y; }

namespace on_host {

static constexpr unsigned most_threads = 1024;
static Fibre fibres[most_threads];  // each lives on from call to call: making one costs more than most kernels
static char* stacks = nullptr;

// Runs the threads of one block, each up to its next barrier, until all have finished.
static bool run_block(unsigned threads, bool backwards) {
  for (unsigned waiting = threads; waiting > 0;) {
    waiting = 0;
    for (unsigned k = 0; k < threads; ++k) {
      unsigned t = backwards ? threads - 1 - k : k;
      threadIdx = {t, 0, 0};
      enter(fibres[t], stacks + t * stack_size);
      if (fibres[t].state == State::waiting) ++waiting;
    }
    if (waiting != 0 && waiting != threads) return false;
  }
  return true;
}

// Runs the threads of one block one after another, for kernels without barriers.
static void run_block_without_barriers(unsigned threads, bool backwards) {
  for (unsigned k = 0; k < threads; ++k) {
    threadIdx = {backwards ? threads - 1 - k : k, 0, 0};
    kernel_call(kernel_arguments);
  }
}

// Runs a grid.  With `backwards` the blocks, and the threads of each, run in the opposite order.
// Returns 0, 1 if the threads of a block did not all reach the same barrier, 2 if there is no memory.
static int run(void (*call)(void*), void* arguments, unsigned blocks, unsigned threads, bool barriers, bool backwards) {
  if (stacks == nullptr) {
    void* memory =
        mmap(nullptr, most_threads * stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 2;
    stacks = (char*)memory;
  }
  kernel_call = call;
  kernel_arguments = arguments;
  blockDim = {threads, 1, 1};
  gridDim = {blocks, 1, 1};
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx = {backwards ? blocks - 1 - b : b, 0, 0};
    if (__start_portml_shared) memset(__start_portml_shared, 0xff, __stop_portml_shared - __start_portml_shared);
    if (!barriers) {
      run_block_without_barriers(threads, backwards);
    } else if (!run_block(threads, backwards)) {
      for (Fibre& fibre : fibres) fibre.state = State::fresh;  // they stand in the middle of a kernel
      return 1;
    }
  }
  return 0;
}

// Calls a kernel with its arguments, given as pointers to their values, as cuLaunchKernel takes them.
template <auto kernel, class... P, size_t... I>
static void unpack(void (*)(P...), void* arguments, std::index_sequence<I...>) {
  void** values = (void**)arguments;
  kernel(*(std::remove_const_t<P>*)values[I]...);
}
template <auto kernel> struct Caller;
template <class... P, void (*kernel)(P...)> struct Caller<kernel> {
  static void call(void* arguments) { unpack<kernel>(kernel, arguments, std::index_sequence_for<P...>()); }
};

}  // namespace on_host

#define ON_HOST_ENTRY(kernel)                                                                                       \
  extern "C" int run_##kernel(void** arguments, unsigned blocks, unsigned threads, int barriers, int backwards) {   \
    return on_host::run(on_host::Caller<&kernel>::call, arguments, blocks, threads, barriers != 0, backwards != 0); \
  }
