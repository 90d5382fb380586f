# What is a word in Python and a number in C.
DTYPES = {
    "float32": CNNFAST_FLOAT32, "float64": CNNFAST_FLOAT64,
    "int8": CNNFAST_INT8, "uint8": CNNFAST_UINT8, "int16": CNNFAST_INT16, "uint16": CNNFAST_UINT16,
    "int32": CNNFAST_INT32, "uint32": CNNFAST_UINT32, "int64": CNNFAST_INT64,
}
DTYPE_NAMES = {code: name for name, code in DTYPES.items()}
LAYOUTS = {"NHWC": CNNFAST_NHWC, "NCHW": CNNFAST_NCHW}
PADDING_MODES = {"zeros": CNNFAST_ZEROS, "reflect": CNNFAST_REFLECT, "replicate": CNNFAST_REPLICATE,
                 "circular": CNNFAST_CIRCULAR}
PRECISIONS = {"default": CNNFAST_DEFAULT, "strict": CNNFAST_STRICT, "fast": CNNFAST_FAST}
ACTIVATIONS = {None: CNNFAST_NONE, "relu": CNNFAST_RELU, "relu6": CNNFAST_RELU6, "leaky_relu": CNNFAST_LEAKY_RELU,
               "sigmoid": CNNFAST_SIGMOID, "tanh": CNNFAST_TANH, "gelu": CNNFAST_GELU, "silu": CNNFAST_SILU,
               "hardswish": CNNFAST_HARDSWISH, "elu": CNNFAST_ELU, "selu": CNNFAST_SELU,
               "hardsigmoid": CNNFAST_HARDSIGMOID, "gelu_tanh": CNNFAST_GELU_TANH, "mish": CNNFAST_MISH,
               "softplus": CNNFAST_SOFTPLUS}
ELEMENTWISE = {"map": CNNFAST_MAP, "add": CNNFAST_ADD, "multiply": CNNFAST_MULTIPLY, "prelu": CNNFAST_PRELU}
OPTIMIZERS = {"sgd": CNNFAST_SGD, "rmsprop": CNNFAST_RMSPROP, "adam": CNNFAST_ADAM}
POOLS = {"max": CNNFAST_MAX, "min": CNNFAST_MIN, "avg": CNNFAST_AVERAGE, "lp": CNNFAST_LP}
