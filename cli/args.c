#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"

static const struct args_option client_options[] = {
    { "url", "URL",
      "where Omni is (default: OMNI_URL, else what runs on the data folder)" },
    { "key", "KEY", "API key (default: OMNI_API_KEY, else the data folder's admin.key)" },
    { "data", "DIR",
      "data folder of an Omni on this machine (default: OMNI_DATA, ./data)" },
    { "json", NULL, "print the answer as JSON" },
    { 0 },
};

int
args_fail(int status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("omni: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return status;
}

// ---- help

static void
print_options(const struct args_option *options)
{
    for (; options->name; options++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", options->name, options->value ? " " : "",
                 options->value ? options->value : "");
        printf("  %-20s %s\n", left, options->help);
    }
}

static void
print_line(const struct args_command *command, bool help)
{
    char left[96];
    snprintf(left, sizeof(left), "%s%s%s%s%s", command->name, command->verb ? " " : "",
             command->verb ? command->verb : "", *command->arguments ? " " : "",
             command->arguments);
    if (help)
        printf("  %-40s %s\n", left, command->help);
    else
        printf("usage: omni %s [OPTION]...\n", left);
}

static void
print_command(const struct args_command *command)
{
    print_line(command, false);
    printf("\n%s\n\n", command->help);
    print_options(command->options);
    if (command->client)
        print_options(client_options);
    printf("  %-20s %s\n", "--help", "this text");
}

static void
print_all(const struct args_command *commands, const char *only)
{
    printf("usage: omni COMMAND [ARGUMENT]... [OPTION]...\n\n");
    for (; commands->name; commands++)
        if (!only || strcmp(only, commands->name) == 0)
            print_line(commands, true);
    printf(
        "\n`omni COMMAND --help` lists the options of a command. Exit status: 0 done, "
        "1 refused\nor failed, 2 wrong usage, 3 Omni cannot be reached; `omni up` ends "
        "with the codes of\nsysexits.h.\n");
}

// ---- reading

static const struct args_option *
find_option(const struct args_option *options, const char *name, size_t size)
{
    for (; options->name; options++)
        if (strlen(options->name) == size && memcmp(options->name, name, size) == 0)
            return options;
    return NULL;
}

// --name, --name VALUE or --name=VALUE. Returns how many words it took, 0 on an error.
static int
read_option(struct args *args, char **words)
{
    const char *name = words[0] + 2;
    size_t size = strcspn(name, "=");
    const struct args_option *option = find_option(args->command->options, name, size);
    if (!option && args->command->client)
        option = find_option(client_options, name, size);
    if (!option || args->option_count == ARGS_OPTIONS_MAX) {
        args_fail(0, "%s: no such option; see omni %s --help", words[0],
                  args->command->name);
        return 0;
    }
    const char *value = name[size] == '=' ? name + size + 1 : NULL;
    bool next = option->value && !value;
    if ((next && !words[1]) || (!option->value && value)) {
        args_fail(0, "--%s %s", option->name, next ? "needs a value" : "takes no value");
        return 0;
    }
    args->options[args->option_count].name = option->name;
    args->options[args->option_count++].value = next ? words[1] : value ? value : "";
    return next ? 2 : 1;
}

// False after a message; `help` is set if it was asked for.
static bool
read_words(struct args *args, char **words, bool *help)
{
    bool only_positional = false;
    while (*words) {
        if (!only_positional && strcmp(*words, "--") == 0) {
            only_positional = true;
            words++;
        } else if (!only_positional &&
                   (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)) {
            *help = true;
            return true;
        } else if (!only_positional && strncmp(*words, "--", 2) == 0) {
            int taken = read_option(args, words);
            if (!taken)
                return false;
            words += taken;
        } else if (args->count == args->command->max) {
            args_fail(0, "%s: one argument too many; see omni %s --help", *words,
                      args->command->name);
            return false;
        } else {
            args->positional[args->count++] = *words++;
        }
    }
    if (args->count < args->command->min) {
        args_fail(0, "missing %s; see omni %s%s%s --help", args->command->arguments,
                  args->command->name, args->command->verb ? " " : "",
                  args->command->verb ? args->command->verb : "");
        return false;
    }
    return true;
}

// The command of the first one or two words; `group` says whether the first word is one.
static const struct args_command *
find_command(const struct args_command *commands, const char *name, const char *verb,
             bool *group)
{
    *group = false;
    for (; commands->name; commands++) {
        if (strcmp(commands->name, name) != 0)
            continue;
        *group = true;
        if (!commands->verb || (verb && strcmp(commands->verb, verb) == 0))
            return commands;
    }
    return NULL;
}

int
args_run(const struct args_command *commands, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    if (strcmp(name, "help") == 0) {
        print_all(commands, NULL);
        return EXIT_DONE;
    }
    bool group, help = false;
    struct args args = { 0 };
    args.command = find_command(commands, name, argc > 2 ? argv[2] : NULL, &group);
    if (!args.command) {
        if (group) {
            print_all(commands, name);
            return argc > 2 && strcmp(argv[2], "--help") == 0 ? EXIT_DONE : EXIT_USAGE;
        }
        return args_fail(EXIT_USAGE, "%s: no such command; see omni help", name);
    }
    if (!read_words(&args, argv + (args.command->verb ? 3 : argc > 1 ? 2 : 1), &help))
        return EXIT_USAGE;
    if (help) {
        print_command(args.command);
        return EXIT_DONE;
    }
    return args.command->run(&args);
}

// ---- asking

const char *
args_get(const struct args *args, const char *option)
{
    for (int i = args->option_count; i-- > 0;)
        if (strcmp(args->options[i].name, option) == 0)
            return args->options[i].value;
    return NULL;
}

bool
args_get_int(const struct args *args, const char *option, int64_t min, int64_t max,
             int64_t fallback, int64_t *out)
{
    const char *text = args_get(args, option);
    *out = fallback;
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) {
        args_fail(0, "--%s: %s is no number from %lld to %lld", option, text,
                  (long long)min, (long long)max);
        return false;
    }
    *out = value;
    return true;
}
