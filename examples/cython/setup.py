"""Builds moving_average: python setup.py build_ext --inplace"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

import cnnfast

library = cnnfast.get_library()
extension = Extension(
    "moving_average",
    ["moving_average.pyx"],
    include_dirs=[cnnfast.get_include()],
    extra_objects=[library],
    runtime_library_dirs=[os.path.dirname(library)],  # found at run time where it lies
)
setup(name="moving_average", ext_modules=cythonize([extension]))
