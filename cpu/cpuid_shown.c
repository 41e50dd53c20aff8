/* SPDX-License-Identifier: MIT */
#include "cpu/cpuid_shown.h"

#include <stddef.h>
#include <stdint.h>

#define BIT(n) (1u << (n))
#define EAX    1u
#define EBX    2u
#define ECX    4u
#define EDX    8u
#define ALL    (EAX | EBX | ECX | EDX)

#define REGISTERS 4u

/* Registers of a leaf's sub-leaves, which are 0 where a leaf has none. */
struct shown {
	uint32_t function;
	uint8_t first, last, registers;
	uint32_t bits;
};

/* clang-format off */

#define LEAF(function)                 { (function), 0, 0, ALL, ~0u }
#define PARTS(function, first, last)   { (function), (first), (last), ALL, ~0u }
#define BITS(function, part, reg, bit) { (function), (part), (part), (reg), (bit) }

/* Numbers as Intel's SDM Vol. 2A, CPUID, and AMD's APM Vol. 3, Appendix E, count bits. */
static const struct shown table[] = {
	/* Who it is, and what the other leaves stand on. */
	LEAF(0x0),
	BITS(0x1, 0, EAX | EBX, ~0u), /* model; CLFLUSH's size, the APIC's id */
	LEAF(0x80000000),
	LEAF(0x80000002), LEAF(0x80000003), LEAF(0x80000004), /* its name */
	BITS(0x7, 0, EAX, ~0u),
	BITS(0x80000008, 0, EAX | ECX, ~0u), /* widths of addresses; cores */

	/* Caches and cores, by which Linux and libraries choose. 0xb and 0x1f are the monitor's own. */
	LEAF(0x2), PARTS(0x4, 0, 31), LEAF(0x80000005), LEAF(0x80000006), LEAF(0x80000019),
	PARTS(0x8000001d, 0, 31), LEAF(0x8000001e),
	BITS(0x80000001, 0, ECX, BIT(1) | BIT(22)), /* CMP_LEGACY, TOPOEXT */
	BITS(0x1, 0, EDX, BIT(28)),                 /* HTT */

	/* Clocks and timers: nothing is calibrated, and the LAPIC's timer never stops. */
	LEAF(0x15), LEAF(0x16),
	BITS(0x1, 0, ECX, BIT(24)),          /* the deadline timer */
	BITS(0x1, 0, EDX, BIT(4)),           /* TSC */
	BITS(0x6, 0, EAX, BIT(2)),           /* ARAT */
	BITS(0x7, 0, EBX, BIT(1)),           /* TSC_ADJUST */
	BITS(0x80000001, 0, EDX, BIT(27)),   /* RDTSCP */
	BITS(0x7, 0, ECX, BIT(22)),          /* RDPID */
	BITS(0x80000007, 0, EDX, BIT(8)),    /* the TSC's rate is constant */
	BITS(0x80000021, 0, EAX, BIT(2)),    /* LFENCE waits: RDTSC in order */

	/* What every kernel for x86-64 takes for granted: FPU, VME, DE, PSE, MSR, PAE, MCE, CX8, APIC, SEP, PGE, MCA, CMOV, PAT,
	 * PSE36, CLFLUSH, MMX, FXSR, SSE, SSE2, self-snoop; AMD tells most of them twice. */
	BITS(0x1, 0, EDX, 0x3ef | BIT(11) | 0x3e000 | BIT(19) | 0xf << 23 | BIT(27)),
	BITS(0x80000001, 0, EDX, 0x3ff | 0x3e000 | 3u << 23),
	BITS(0x80000001, 0, EDX, BIT(11) | BIT(20) | BIT(26) | BIT(29)), /* SYSCALL, NX, 1G pages, long mode */
	BITS(0x80000001, 0, ECX, BIT(0) | BIT(4)),                       /* LAHF, CR8 */
	BITS(0x1, 0, ECX, BIT(13) | BIT(31)),                            /* CX16; a hypervisor is there */

	/* Paging, interrupts, and what makes them fast. */
	BITS(0x1, 0, ECX, BIT(17) | BIT(21)),          /* PCID, x2APIC */
	BITS(0x7, 0, EBX, BIT(0) | BIT(10)),           /* FSGSBASE, INVPCID */
	BITS(0x7, 0, ECX, BIT(16)),                    /* LA57 */
	BITS(0x7, 1, EAX, BIT(18) | BIT(19)),          /* LKGS, WRMSRNS */
	BITS(0x80000001, 0, ECX, BIT(17)),             /* TCE */
	BITS(0x80000008, 0, EBX, BIT(0) | BIT(9)),     /* CLZERO, WBNOINVD */
	BITS(0x80000021, 0, EAX, BIT(1) | BIT(6) | BIT(9)), /* cheaper writes of FS and GS; a null selector clears; no SMM_CTL */

	/* Protection of the guest's kernel from its programs. */
	BITS(0x7, 0, EBX, BIT(7) | BIT(20)),           /* SMEP, SMAP */
	BITS(0x7, 0, ECX, BIT(2) | BIT(3) | BIT(4)),   /* UMIP, PKU */
	BITS(0x7, 0, EDX, BIT(20)),                    /* IBT */
	BITS(0x7, 1, EAX, BIT(26)),                    /* LAM */
	BITS(0x7, 0, ECX, BIT(24)),                    /* locks across lines are noticed */
	BITS(0x80000021, 0, EAX, BIT(17)),             /* CPUID not for programs */

	/* Which defences against speculation it needs, and has. */
	BITS(0x7, 0, EBX, BIT(6) | BIT(13)),           /* FDP, FCS and FDS, which are its kind, too */
	BITS(0x7, 0, EDX, BIT(10) | BIT(11) | BIT(13) | 3u << 26 | BIT(28) | BIT(29) | BIT(31)),
						       /* MD_CLEAR, TSX that aborts, IBRS, STIBP, L1D, ARCH_CAPABILITIES, SSBD */
	BITS(0x7, 2, EDX, 0x3f),                       /* PSFD, IPRED, RRSBA, DDPD, BHI, MCDT_NO */
	BITS(0x80000008, 0, EBX, BIT(2) | BIT(12) | 7u << 14 | 7u << 17 | 7u << 24 | 7u << 28),
						       /* XSAVE's pointers, IBPB, IBRS, STIBP and when, SSBD, PSFD, BTC_NO, IBPB_RET */
	BITS(0x80000021, 0, EAX, BIT(0) | BIT(5) | BIT(8) | 0x1fu << 27),
						       /* nested breakpoints, VERW, automatic IBRS, SBPB, IBPB and branches, SRSO */
	BITS(0x80000021, 0, ECX, 3u << 1),             /* TSA */
	BITS(0x80000001, 0, ECX, BIT(9)),              /* OSVW: which errata it has */

	/* Instructions for programs, by which compilers and libraries choose. */
	BITS(0x1, 0, ECX, 3u | BIT(9) | BIT(12) | 3u << 19 | 3u << 22 | BIT(25) | 7u << 28),
					/* SSE3, PCLMULQDQ, SSSE3, FMA, SSE4, MOVBE, POPCNT, AES, AVX, F16C; RDRAND */
	BITS(0x1, 0, ECX, 3u << 26),    /* XSAVE */
	BITS(0x7, 0, EBX, 3u << 3 | BIT(5) | 3u << 8 | BIT(11) | 0xfu << 16 | BIT(21) | 3u << 23 | 0x3fu << 26),
					/* BMI, TSX, AVX2, strings, AVX-512, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA */
	BITS(0x7, 0, ECX, 3u | BIT(5) | BIT(6) | 0x1fu << 8 | BIT(14) | BIT(25) | 3u << 27),
					/* AVX-512, TPAUSE, GFNI, VAES, CLDEMOTE, MOVDIRI and MOVDIR64B */
	BITS(0x7, 0, EDX, 7u << 2 | BIT(8) | BIT(14) | BIT(16) | 0xfu << 22),
					/* AVX-512, strings, SERIALIZE, TSX, AMX */
	BITS(0x7, 1, EAX, 7u | 3u << 4 | BIT(7) | 7u << 10 | BIT(21) | BIT(23)),
					/* SHA512, SM3, SM4, AVX, CMPCCXADD, strings, AMX */
	BITS(0x7, 1, EDX, 3u << 4 | BIT(8) | BIT(10) | BIT(14) | BIT(19)), /* AVX, AMX, PREFETCHI, AVX10 */
	PARTS(0x1d, 0, 1), PARTS(0x1e, 0, 1), /* AMX's sizes */
	BITS(0x24, 0, EAX | EBX, 0x000700ffu), /* AVX10's version and widths */
	BITS(0x80000001, 0, EDX, BIT(22) | BIT(25) | 3u << 30), /* MMX, FXSR, 3DNow! of AMD */
	BITS(0x80000001, 0, ECX, 0xfu << 5 | BIT(11) | BIT(16) | BIT(21)),
					/* ABM, SSE4A, unaligned SSE, PREFETCH, XOP, FMA4, TBM */
	LEAF(0x8000001a),               /* which are fast */
	BITS(0x80000021, 0, EAX, 3u << 10 | BIT(20)), /* strings, PREFETCHI */

	/* The registers of all these, as XSAVE lays them out: a wrong size ends Linux. No bounds, no shadow stacks' pointers. */
	BITS(0xd, 0, EAX, 0x602e7u),
	BITS(0xd, 0, EBX | ECX, ~0u),
	BITS(0xd, 1, EAX, 0x1fu),
	BITS(0xd, 1, EBX, ~0u),
	BITS(0xd, 1, ECX, BIT(11)),
	PARTS(0xd, 2, 2), PARTS(0xd, 5, 7), PARTS(0xd, 9, 9), PARTS(0xd, 11, 11), PARTS(0xd, 17, 18),

	/* KVM: its clock, faults of pages that the host brings, the time stolen, interrupts and flushes by a call, spinlocks that yield. */
	LEAF(0x40000000),
	BITS(0x40000001, 0, EAX, 0x7efbu | BIT(24)),
	BITS(0x40000001, 0, EDX, BIT(0)),
};
/* Nothing else is: what is new is not known to be right in a snapshot, or of use here. Of what is known, MONITOR (5), DCA (9), the PMU
 * and what samples with it (0xa, 0x14, 0x1c, 0x23, 0x8000001b, 0x80000022 and their bits: Linux would run a watchdog by its
 * interrupts), the host's shares of caches and bandwidth (0xf, 0x10, 0x80000020), its power (6), its serial number (PPIN) and errors,
 * virtualisation of the guest's own (0x8000000a), enclaves and encryption, which this monitor sets up for no guest (0x12, 0x19,
 * 0x21, 0x8000001f), MTRRs, which Linux reads, but KVM heeds only for devices of the host's, MPX, which Linux has given up, and shadow stacks,
 * whose pointer no MSR has. */

/* clang-format on */

void cpuid_hide(struct kvm_cpuid_entry2 *entry)
{
	uint32_t shown[REGISTERS] = { 0 };

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].function == entry->function && entry->index >= table[i].first &&
		    entry->index <= table[i].last)
			for (unsigned reg = 0; reg < REGISTERS; reg++)
				if (table[i].registers & BIT(reg))
					shown[reg] |= table[i].bits;
	entry->eax &= shown[0];
	entry->ebx &= shown[1];
	entry->ecx &= shown[2];
	entry->edx &= shown[3];
}
