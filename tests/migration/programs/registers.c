// Registers: vector and general registers hold their values through a move, also in the middle of a loop that
// makes no call; the floating-point modes stay as set.
#include <fenv.h>
#include <fcntl.h>
#include <immintrin.h>
#include <sys/syscall.h>

#include "probe.h"

// Loads all sixteen AVX registers, then polls for the file `go` with bare system calls, then stores them.
__attribute__((target("avx2"), noinline)) static void HoldVectors(const char* go, const uint8_t* in, uint8_t* out) {
  static const long pause[2] = {0, 1000000};
  asm volatile(
      "vmovdqu 0(%[in]), %%ymm0\n vmovdqu 32(%[in]), %%ymm1\n vmovdqu 64(%[in]), %%ymm2\n"
      "vmovdqu 96(%[in]), %%ymm3\n vmovdqu 128(%[in]), %%ymm4\n vmovdqu 160(%[in]), %%ymm5\n"
      "vmovdqu 192(%[in]), %%ymm6\n vmovdqu 224(%[in]), %%ymm7\n vmovdqu 256(%[in]), %%ymm8\n"
      "vmovdqu 288(%[in]), %%ymm9\n vmovdqu 320(%[in]), %%ymm10\n vmovdqu 352(%[in]), %%ymm11\n"
      "vmovdqu 384(%[in]), %%ymm12\n vmovdqu 416(%[in]), %%ymm13\n vmovdqu 448(%[in]), %%ymm14\n"
      "vmovdqu 480(%[in]), %%ymm15\n"
      "1: mov %[access], %%eax\n mov %[go], %%rdi\n xor %%esi, %%esi\n syscall\n"
      "test %%rax, %%rax\n jz 2f\n"
      "mov %[sleep], %%eax\n mov %[pause], %%rdi\n xor %%esi, %%esi\n syscall\n"
      "jmp 1b\n"
      "2: vmovdqu %%ymm0, 0(%[out])\n vmovdqu %%ymm1, 32(%[out])\n vmovdqu %%ymm2, 64(%[out])\n"
      "vmovdqu %%ymm3, 96(%[out])\n vmovdqu %%ymm4, 128(%[out])\n vmovdqu %%ymm5, 160(%[out])\n"
      "vmovdqu %%ymm6, 192(%[out])\n vmovdqu %%ymm7, 224(%[out])\n vmovdqu %%ymm8, 256(%[out])\n"
      "vmovdqu %%ymm9, 288(%[out])\n vmovdqu %%ymm10, 320(%[out])\n vmovdqu %%ymm11, 352(%[out])\n"
      "vmovdqu %%ymm12, 384(%[out])\n vmovdqu %%ymm13, 416(%[out])\n vmovdqu %%ymm14, 448(%[out])\n"
      "vmovdqu %%ymm15, 480(%[out])\n vzeroupper\n"
      :
      : [in] "r"(in), [out] "r"(out), [go] "r"(go), [pause] "r"(pause), [access] "i"(SYS_access),
        [sleep] "i"(SYS_nanosleep)
      : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
        "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

// A long computation without any call, on x87 and SSE registers.
static long double Compute(long steps, double* sse) {
  long double x = 0.5L;
  double y = 0.25;
  for (long i = 0; i < steps; ++i) {
    x = 3.9L * x * (1 - x);
    y = 3.8 * y * (1 - y);
  }
  *sse = y;
  return x;
}

void Program(void) {
  static uint8_t in[512], out[512];
  uint64_t state = 7;
  for (int i = 0; i < 512; ++i) in[i] = (uint8_t)NextRandom(&state);
  if (__builtin_cpu_supports("avx2")) {
    HoldVectors(BeginMove(), in, out);
    Say("vectors kept: %d", memcmp(in, out, sizeof in) == 0);
  } else {
    MovePoint();
    Say("vectors kept: 1");
  }

  REQUIRE(fesetround(FE_UPWARD) == 0);
  feclearexcept(FE_ALL_EXCEPT);
  volatile double one = 1, three = 3;
  volatile double third = one / three;
  MovePoint();
  Say("rounding kept: %d, inexact kept: %d", fegetround() == FE_UPWARD, fetestexcept(FE_INEXACT) != 0);
  Say("%a %a", third, one / three);
  REQUIRE(fesetround(FE_TONEAREST) == 0);
  Say("%a", one / three);

  double sse = 0;
  const long double x87 = Compute(60000000, &sse);
  Say("%La %a", x87, sse);
  MovePoint();
  Say("%La %a", Compute(1000, &sse), sse);
}
