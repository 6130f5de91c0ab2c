/* The project's own FxDriverEntry: binds the driver to KMDF 1.33, as WdfDriverEntry.lib of the WDK does. */
typedef long NTSTATUS;
typedef unsigned long ULONG;
typedef unsigned short WCHAR;
typedef struct { unsigned short Length, MaximumLength; WCHAR *Buffer; } UNICODE_STRING;
typedef struct {
    ULONG Size;
    const WCHAR *Component;
    ULONG Major, Minor, Build;
    ULONG FuncCount;
    void *FuncTable;
    void *Module;
} WDF_BIND_INFO;
typedef struct DRIVER_OBJECT {
    char before_unload[0x68];
    void (*DriverUnload)(struct DRIVER_OBJECT *);
} DRIVER_OBJECT;

enum { FUNCTIONS = 458, LONGEST_PATH = 260 };

const void *WdfFunctions_01033;
void *WdfDriverGlobals;
ULONG WdfFunctionCount = FUNCTIONS;

__declspec(dllimport) NTSTATUS WdfVersionBind(DRIVER_OBJECT *, UNICODE_STRING *, WDF_BIND_INFO *, void **);
__declspec(dllimport) void WdfVersionUnbind(UNICODE_STRING *, WDF_BIND_INFO *, void *);
NTSTATUS DriverEntry(DRIVER_OBJECT *, UNICODE_STRING *);

static const WCHAR component[] = u"KmdfLibrary";
static WCHAR path_buffer[LONGEST_PATH];
static UNICODE_STRING path = { 0, sizeof path_buffer, path_buffer };
static WDF_BIND_INFO bind_info = { sizeof bind_info, component, 1, 33, 0, FUNCTIONS, &WdfFunctions_01033, 0 };
static void (*framework_unload)(DRIVER_OBJECT *);

static void unload(DRIVER_OBJECT *driver) {
    if (framework_unload) framework_unload(driver);
    WdfVersionUnbind(&path, &bind_info, WdfDriverGlobals);
}

NTSTATUS FxDriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path) {
    unsigned units = registry_path->Length / sizeof(WCHAR);
    if (units > LONGEST_PATH - 1) units = LONGEST_PATH - 1;
    for (unsigned i = 0; i < units; i++) path_buffer[i] = registry_path->Buffer[i];
    path.Length = (unsigned short)(units * sizeof(WCHAR));
    NTSTATUS status = WdfVersionBind(driver, &path, &bind_info, &WdfDriverGlobals);
    if (status < 0) return status;
    status = DriverEntry(driver, registry_path);
    if (status < 0) {
        WdfVersionUnbind(&path, &bind_info, WdfDriverGlobals);
        return status;
    }
    framework_unload = driver->DriverUnload;
    driver->DriverUnload = unload;
    return status;
}
