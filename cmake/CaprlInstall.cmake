# `cmake --install build/cuda --prefix DIR`: a folder that can be moved anywhere and holds all that a GPU machine needs besides
# PyTorch and CUDA. Programs are in lib/caprl; launchers of the same names in bin find PyTorch's libraries (torch_libs.sh).
if(NOT CAPRL_CUDA)
  return()
endif()

# All targets of a folder and those below it.
function(caprl_targets_below folder result)
  get_property(found DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(subfolders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(subfolder ${subfolders})
    caprl_targets_below(${subfolder} below)
    list(APPEND found ${below})
  endforeach()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

set(programs caprl caprl-train caprl-core caprl-bench-loss caprl-bench-kernels caprl-bench-rollouts caprl-bench-updates)
if(CAPRL_TESTS)
  caprl_targets_below(${CMAKE_SOURCE_DIR}/tests gpu_tests)
  list(FILTER gpu_tests INCLUDE REGEX "^test_.*_cuda$")
  list(APPEND programs ${gpu_tests})
endif()

add_custom_target(bundle-programs DEPENDS ${programs})  # what is installed, without building all the other tests

# $ORIGIN/..: what the programs bring along; PyTorch and CUDA come from LD_LIBRARY_PATH.
foreach(program ${programs})
  install(TARGETS ${program} RUNTIME_DEPENDENCY_SET caprl_libraries RUNTIME DESTINATION lib/caprl)
  # The build's paths are options of the linker, which CMake does not remove. Without Torch there are none.
  install(CODE "
    set(program \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/caprl/${program}\")
    unset(build_rpath)
    file(READ_ELF \"\${program}\" RPATH build_rpath CAPTURE_ERROR ignored)
    if(build_rpath)
      file(RPATH_SET FILE \"\${program}\" NEW_RPATH \"\$ORIGIN/..\")
    endif()")
  install(PROGRAMS cmake/launch.sh DESTINATION bin RENAME ${program})
endforeach()
install(PROGRAMS cmake/torch_libs.sh DESTINATION lib/caprl)

# Their libraries, without those of PyTorch, CUDA, the compiler and the C library.
install(RUNTIME_DEPENDENCY_SET caprl_libraries
  PRE_EXCLUDE_REGEXES
    "^lib(torch|c10|shm|gomp|nv|nccl|cu(da|blas|dnn|fft|file|pti|rand|solver|sparse))[^/]*\\.so"
    "^lib(c|m|dl|rt|util|pthread|resolv|stdc\\+\\+|gcc_s)\\.so"
    "^ld-linux"
  LIBRARY DESTINATION lib)

install(DIRECTORY configs DESTINATION share/caprl)
install(DIRECTORY tools/demo_world/models DESTINATION share/caprl)
install(DIRECTORY tools/benchmarks/gpu/ DESTINATION share/caprl/gpu FILES_MATCHING PATTERN "*.py" PATTERN __pycache__ EXCLUDE)
install(DIRECTORY ${CAPRL_DEPS}/gpu-peers/ DESTINATION share/caprl/peers OPTIONAL FILES_MATCHING PATTERN "*.whl")
install(FILES docs/CONFIG.md DESTINATION share/caprl/docs)
install(FILES README.md LICENSE DESTINATION .)
install(PROGRAMS tools/gpu_check.sh DESTINATION .)
