/* Debian's ntddk.h, and what the kernel has that it does not declare. Written by the project. */
#include_next <ntddk.h>

#ifndef HVPCI_NTDDK_MORE
#define HVPCI_NTDDK_MORE

typedef ULONGLONG POOL_FLAGS;

/* Windows 10 2004 and later. */
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

#endif
