//! The program that a real process of a sequence runs: the actor.
//!
//! It is written in assembly, and is a whole program of some 200 bytes: a C library's start
//! opens descriptors, ignores signals and looks at ids. An actor waits in its slot of the
//! shared memory for a system call, makes it, and stores what the system answered. A call
//! that makes a child names the child's slot, where the child goes on; an exec runs the same
//! image, which maps the memory again. So an actor needs no memory but its slot, and the
//! driver decides what is called.
#![allow(unsafe_code)]

use super::memory;
use std::arch::global_asm;

/// Where the image lies in an actor.
const LOADED: u64 = 0x40_0000;
/// The headers of the ELF file: its own, and one of a segment.
const HEADERS: usize = 64 + 56;

global_asm!(
    ".pushsection .rodata.lwproc_oracle_actor, \"a\", @progbits",
    ".globl lwproc_oracle_actor, lwproc_oracle_actor_end",
    ".globl lwproc_oracle_actor_handler, lwproc_oracle_actor_restorer",
    "lwproc_oracle_actor:",
    // The first byte of argv[0] is the number of the slot; r12 its address from now on.
    "mov rax, [rsp + 8]",
    "movzx r12d, byte ptr [rax]",
    "shl r12, {slot_bits}",
    "movabs rdi, {base}",
    "add r12, rdi",
    "mov eax, {mmap}",
    "mov esi, {size}",
    "mov edx, 3",      // to be read and written
    "mov r10d, 0x11",  // shared, and there
    "mov r8d, {fd}",
    "xor r9d, r9d",
    "syscall",
    // The exec that led here has been done, and its answer is 0. (Without the memory the
    // actor faults here, and the driver finds it dead.)
    "xor eax, eax",
    "mov ebx, [r12]",
    "jmp 5f",
    "2:",
    "lea rsp, [r12 + {slot_size}]",
    "mov ebx, [r12 + {done}]",
    "3:",
    "mov eax, [r12]",
    "cmp eax, ebx",
    "jne 4f",
    "mov eax, {futex}",
    "mov rdi, r12",
    "xor esi, esi", // FUTEX_WAIT
    "mov edx, ebx",
    "xor r10d, r10d",
    "syscall",
    "jmp 3b",
    "4:",
    "mov ebx, eax",
    "mov rdi, [r12 + {args}]",
    "mov rsi, [r12 + {args} + 8]",
    "mov rdx, [r12 + {args} + 16]",
    "mov r10, [r12 + {args} + 24]",
    "mov r8, [r12 + {args} + 32]",
    "mov r9, [r12 + {args} + 40]",
    "mov rax, [r12 + {number}]",
    "syscall",
    "mov rcx, [r12 + {child}]",
    "test rcx, rcx",
    "jz 5f",
    "test rax, rax",
    "jnz 5f",
    "mov r12, rcx", // the child
    "jmp 2b",
    "5:",
    "mov [r12 + {result}], rax",
    "mov [r12 + {done}], ebx",
    "mov eax, {futex}",
    "lea rdi, [r12 + {done}]",
    "mov esi, 1", // FUTEX_WAKE
    "mov edx, 1",
    "syscall",
    "jmp 2b",
    // A caught signal sets its bit. The stack is in the slot, whose address is round.
    "lwproc_oracle_actor_handler:",
    "mov rax, rsp",
    "and rax, -{slot_size}",
    "lea ecx, [rdi - 1]",
    "mov edx, 1",
    "shl rdx, cl",
    "lock or [rax + {caught}], rdx",
    "ret",
    "lwproc_oracle_actor_restorer:",
    "mov eax, {sigreturn}",
    "syscall",
    "lwproc_oracle_actor_end:",
    ".popsection",
    base = const memory::BASE,
    size = const memory::SIZE,
    slot_size = const memory::SLOT,
    slot_bits = const memory::SLOT.ilog2(),
    fd = const memory::MEMORY_FD,
    done = const memory::DONE,
    number = const memory::NUMBER,
    args = const memory::ARGS,
    result = const memory::RESULT,
    child = const memory::CHILD,
    caught = const memory::CAUGHT,
    mmap = const libc::SYS_mmap,
    futex = const libc::SYS_futex,
    sigreturn = const libc::SYS_rt_sigreturn,
);

unsafe extern "C" {
    static lwproc_oracle_actor: u8;
    static lwproc_oracle_actor_end: u8;
    static lwproc_oracle_actor_handler: u8;
    static lwproc_oracle_actor_restorer: u8;
}

/// Where something of the image is in an actor.
fn loaded(symbol: *const u8) -> u64 {
    let begin = &raw const lwproc_oracle_actor;
    LOADED + (HEADERS + symbol.addr() - begin.addr()) as u64
}

/// The address of the actor's signal handler.
pub(super) fn handler() -> u64 {
    loaded(&raw const lwproc_oracle_actor_handler)
}

/// The address of what the handler returns to.
pub(super) fn restorer() -> u64 {
    loaded(&raw const lwproc_oracle_actor_restorer)
}

/// The ELF file of the actor.
pub(super) fn elf() -> Vec<u8> {
    let begin = &raw const lwproc_oracle_actor;
    let len = (&raw const lwproc_oracle_actor_end).addr() - begin.addr();
    // SAFETY: the bytes between the two symbols, which are constant.
    let code = unsafe { std::slice::from_raw_parts(begin, len) };
    let size = (HEADERS + len) as u64;
    let mut elf = Vec::new();
    // 64 bits, little-endian, version 1.
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // An executable for x86-64, version 1.
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    // Entry; the headers of segments, at once; no sections; no flags.
    for word in [LOADED + HEADERS as u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    // Size of this header, of a segment's; one segment; no sections.
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // To be loaded, read and executed: the whole file.
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, LOADED, LOADED, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}
