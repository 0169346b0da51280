# cmake -DBUILD=… -DVERSION=… -DCOMPILER=… -DC_COMPILER=… -DCONSUMER=… -P install_test.cmake
set(folder ${BUILD}/tests/install/work)
file(REMOVE_RECURSE ${folder})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}:\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${folder}/prefix --component caprl-dev)
run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${folder}/build -DCMAKE_PREFIX_PATH=${folder}/prefix -DWANTED_VERSION=${VERSION}
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_C_COMPILER=${C_COMPILER})
run(${CMAKE_COMMAND} --build ${folder}/build)
run(${folder}/build/consumer)
if(NOT out MATCHES "caprl ${VERSION}, an image of 2 x 1, [1-9][0-9]* parameters")
  message(FATAL_ERROR "the consumer printed: ${out}")
endif()

# Another version is not taken.
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CONSUMER} -B ${folder}/other -DCMAKE_PREFIX_PATH=${folder}/prefix -DWANTED_VERSION=99.0
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_C_COMPILER=${C_COMPILER} RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
if(code EQUAL 0)
  message(FATAL_ERROR "version 99.0 was found in the installed package")
endif()
file(REMOVE_RECURSE ${folder})
