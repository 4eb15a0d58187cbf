# What every target of the project is built with, and the three ways to declare one:
# omni_library, omni_program and omni_test.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(OMNI_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
set(OMNI_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined or thread")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(omni_flags INTERFACE)
target_compile_definitions(omni_flags INTERFACE _GNU_SOURCE OMNI_VERSION="${PROJECT_VERSION}")
target_compile_options(omni_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Wwrite-strings -Wvla -Werror
    -fstack-protector-strong -fno-omit-frame-pointer)
# A program loads only the libraries it uses, which keeps its start short.
target_link_options(omni_flags INTERFACE -Wl,--as-needed)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT OMNI_SANITIZE)
    target_compile_options(omni_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    target_link_options(omni_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(OMNI_SANITIZE)
    # A build that looks for faults keeps its asserts too.
    target_compile_options(omni_flags INTERFACE -UNDEBUG
        -fsanitize=${OMNI_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(omni_flags INTERFACE -fsanitize=${OMNI_SANITIZE})
endif()

if(OMNI_FUZZ)
    # What the fuzzer is guided by: every library counts which branches were taken.
    target_compile_options(omni_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# omni_library(NAME SOURCES a.c b.c LINKS target...)
# A folder as a target: its headers are seen by whoever links it, and by nobody else.
function(omni_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC omni_flags ${ARG_LINKS})
endfunction()

# omni_program(NAME SOURCES main.c LINKS target...)
function(omni_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE omni_flags ${ARG_LINKS})
    install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# omni_test(NAME SOURCES test_a.c LINKS target... [TIMEOUT seconds] [PROGRAMS target...])
# A Criterion program under ctest. Criterion passes tests that leak, that call exit(0), or
# that a filter left out, so the output is searched for the marks of those.
function(omni_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;PROGRAMS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE omni_flags ${ARG_LINKS} PkgConfig::criterion)
    target_compile_definitions(${name} PRIVATE
        OMNI_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
        OMNI_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    set_target_properties(${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    if(ARG_PROGRAMS)
        add_dependencies(${name} ${ARG_PROGRAMS})
    endif()
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    add_test(NAME ${name} COMMAND ${name} --jobs 2)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT}
        FAIL_REGULAR_EXPRESSION
        "Sanitizer:;Sanitizer: ;runtime error:;Tested: 0 ;definitely lost")
endfunction()
