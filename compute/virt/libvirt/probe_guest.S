# The probe guest: one boot sector. It leaves real mode for 64-bit mode with paging, then does for a moment what keeps
# ordinary kernels busy under a hypervisor, and says so on the serial port. Embedded in probe.py; to make it anew:
#   as -o probe.o probe_guest.S && ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary -o probe.bin probe.o && base64 probe.bin
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    # page tables at 0x1000 (root), 0x2000, 0x3000: one 2 MiB page, mapped to itself
    movw $0x1000, %di
    movw $0x1800, %cx
    rep stosw
    movw $0x2003, 0x1000
    movw $0x3003, 0x2000
    movw $0x0083, 0x3000
    movl $0xa0, %eax
    movl %eax, %cr4                 # PAE, PGE
    movl $0x1000, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax                # EFER.LME
    wrmsr
    lgdt gdt_pointer
    movl %cr0, %eax
    orl $0x80000001, %eax           # paging, protection
    movl %eax, %cr0
    ljmp $0x08, $long_mode
    .code64
long_mode:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $30000, %ebp
work:
    movq %cr3, %rax                 # a new address space, as at each switch of tasks
    movq %rax, %cr3
    xorl %eax, %eax
    cpuid                           # an exit to the hypervisor
    invlpg 0x100000
    movl $0x100000, %edi
    movl $512, %ecx
    rep stosq
    decl %ebp
    jnz work
    movl $message, %esi
    movl $message_end - message, %ecx
    movw $0x3f8, %dx
    rep outsb
stop:
    hlt
    jmp stop
message:
    .ascii "hostler-probe-ok\n"
message_end:
    .align 8
gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
    .org 510
    .word 0xaa55
