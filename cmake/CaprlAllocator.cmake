# What programs allocate memory by: gperftools' tcmalloc, whose threads keep blocks of up to 256 KB for what they allocate next. A tensor of
# glibc's costs several times as much. Libraries leave the choice to the program that links them; sanitizers bring an allocator of their own.
add_library(caprl_allocator INTERFACE)
if(NOT CAPRL_SANITIZE)
  pkg_check_modules(TCMALLOC REQUIRED IMPORTED_TARGET libtcmalloc_minimal)
  target_link_libraries(caprl_allocator INTERFACE PkgConfig::TCMALLOC)
endif()
