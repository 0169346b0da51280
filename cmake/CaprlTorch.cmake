# Target caprl_torch: LibTorch as tools/setup unpacked it, plus the shared precompiled header.
# The wheel's own CMake package insists on a CUDA toolkit, so the libraries are named here.
set(CAPRL_DEPS ${CMAKE_SOURCE_DIR}/.deps CACHE PATH "Where tools/setup put the pinned wheels")
set(torch_root ${CAPRL_DEPS}/wheels-cpu/torch)
set(cuda_wheel_libs ${CAPRL_DEPS}/wheels-cpu/nvidia/cu13/lib)
if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch is not in ${torch_root}; run tools/setup first")
endif()

# The wheel carries the headers of another version of fmt; those of the library that is linked come first.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include-first)
file(CREATE_LINK ${fmt_include}/fmt ${CMAKE_BINARY_DIR}/include-first/fmt SYMBOLIC)

add_library(caprl_torch INTERFACE)
target_include_directories(caprl_torch SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/include-first
  ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
target_link_directories(caprl_torch INTERFACE ${torch_root}/lib)
target_link_libraries(caprl_torch INTERFACE torch_cpu c10)
set(torch_rpath ${torch_root}/lib ${cuda_wheel_libs})

if(CAPRL_CUDA)
  enable_language(CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
  set(cuda_extra ${CAPRL_DEPS}/wheels-cuda/nvidia)
  # no-as-needed: libtorch_cuda registers its kernels when it is loaded, no symbol of it is named. The library's path, not
  # its target, which brings an include folder: files without CUDA are compiled as in the preset cpu, so that the compiler
  # cache serves both.
  target_link_libraries(caprl_torch INTERFACE
    c10_cuda ${CUDA_cudart_LIBRARY} "-Wl,--no-as-needed,${torch_root}/lib/libtorch_cuda.so,--as-needed")
  list(APPEND torch_rpath ${CUDAToolkit_LIBRARY_DIR}
       ${cuda_extra}/cu13/lib ${cuda_extra}/cusparselt/lib ${cuda_extra}/nvshmem/lib)
endif()

# RPATH, not RUNPATH: the CUDA libraries are dependencies of libtorch's, which name no path of their own.
target_link_options(caprl_torch INTERFACE
  "LINKER:--disable-new-dtags" "LINKER:--allow-shlib-undefined")
foreach(path ${torch_rpath})
  target_link_options(caprl_torch INTERFACE "LINKER:-rpath,${path}")
endforeach()
