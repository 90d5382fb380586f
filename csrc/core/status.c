#include "cnnfast.h"

const char *cnnfast_status_string(cnnfast_status status) {
    switch (status) {
    case CNNFAST_OK: return "ok";
    case CNNFAST_INVALID_SHAPE: return "invalid shape";
    case CNNFAST_INVALID_PARAM: return "invalid parameter";
    case CNNFAST_UNSUPPORTED: return "not supported for this dtype, algorithm or machine";
    case CNNFAST_SMALL_WORKSPACE: return "workspace too small";
    case CNNFAST_OUT_OF_MEMORY: return "out of memory";
    case CNNFAST_OVERFLOW: return "an integer sum could overflow its accumulator";
    case CNNFAST_INTERRUPTED: return "interrupted";
    }
    return "unknown status";
}

const char *cnnfast_version(void) { return CNNFAST_VERSION; }
