# Target caprl_arrow: Arrow's Parquet library as tools/setup unpacked it from pyarrow's wheel. Where it is missing there is no
# target, and no_parquet.cpp is built in place of the files that use it.
set(arrow_root ${CAPRL_DEPS}/wheels-arrow/pyarrow)
file(GLOB arrow_libraries ${arrow_root}/libparquet.so.* ${arrow_root}/libarrow.so.*)
if(CAPRL_PARQUET AND arrow_libraries)
  add_library(caprl_arrow INTERFACE)
  target_include_directories(caprl_arrow SYSTEM INTERFACE ${arrow_root}/include)
  target_link_libraries(caprl_arrow INTERFACE ${arrow_libraries})
  target_link_options(caprl_arrow INTERFACE "LINKER:-rpath,${arrow_root}")
else()
  message(STATUS "Building without Parquet: CAPRL_PARQUET is off, or Arrow is not in ${arrow_root} (tools/setup)")
endif()
