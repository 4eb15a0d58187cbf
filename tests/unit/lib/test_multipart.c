#include <criterion/criterion.h>
#include <stdio.h>

#include "multipart.h"
#include "pack.h"

#define TYPE "multipart/form-data; boundary=XYZ"
#define PART "Content-Disposition: form-data; name=\"a\"\r\n\r\n"

// Read a form in pieces of at most `step` and write down what happened, as
// "[name|filename:bytes]", then "." for the end or "!" for a bad form.
static void
read_form(const char *type, struct om_str form, size_t step, struct om_buf *log)
{
    struct om_multipart parser;
    om_buf_reset(log);
    if (!om_multipart_init(&parser, om_str(type))) {
        om_buf_put(log, "?", 2);
        return;
    }
    for (size_t at = 0; at < form.size; at += step) {
        struct om_str input = { form.data + at,
                                form.size - at < step ? form.size - at : step };
        struct om_str data;
        enum om_multipart_event event;
        while ((event = om_multipart_take(&parser, &input, &data)) != OM_MULTIPART_MORE) {
            char text[512];
            int size = 0;
            if (event == OM_MULTIPART_PART)
                size = snprintf(text, sizeof(text), "[%.*s|%.*s:", (int)parser.name.size,
                                parser.name.data, (int)parser.filename.size,
                                parser.filename.data ? parser.filename.data : "");
            om_buf_put(log, text, (size_t)size);
            if (event == OM_MULTIPART_DATA)
                om_buf_put(log, data.data, data.size);
            if (event == OM_MULTIPART_PART_END)
                om_buf_put(log, "]", 1);
            if (event == OM_MULTIPART_END)
                om_buf_put(log, ".", 1);
            if (event == OM_MULTIPART_BAD) {
                om_buf_put(log, "!", 2);
                return;
            }
        }
    }
    om_buf_put(log, "", 1);
}

static const struct {
    const char *type, *form, *log;
} forms[] = {
    { TYPE, "--XYZ\r\n" PART "hello\r\n--XYZ--\r\n", "[a|:hello]." },
    { TYPE, "--XYZ\r\n" PART "hello\r\n--XYZ--", "[a|:hello]." },
    { TYPE, "preamble\r\n--XYZ \t\r\n" PART "x\r\n--XYZ--\r\nepilogue", "[a|:x]." },
    { TYPE, "--XYZ\r\n" PART "\r\n--XYZ--", "[a|:]." },
    { TYPE, "--XYZ\r\n" PART "1\r\n--XYZ\r\n" PART "2\r\n--XYZ--", "[a|:1][a|:2]." },
    { TYPE, "--XYZ\r\n" PART "\r\r\n\r\n-\r\n--\r\n--X\r\n--XY\r\r\n--XYZ--",
      "[a|:\r\r\n\r\n-\r\n--\r\n--X\r\n--XY\r]." },
    { TYPE, "--XYZ\r\n" PART "--XYZ\r\n--XYZ--", "[a|:--XYZ]." },
    { TYPE,
      "--XYZ\r\ncontent-type: text/csv\r\n"
      "CONTENT-DISPOSITION:form-data ; filename=\"a \\\"b\\\" c\\d.csv\"; "
      "name=file\r\n\r\n"
      "1,2\r\n--XYZ--",
      "[file|a \"b\" c\\d.csv:1,2]." },
    { TYPE "; charset=utf-8", "--XYZ\r\n" PART "x\r\n--XYZ--", "[a|:x]." },
    { "Multipart/Form-Data;x=1; Boundary=\"a b\"", "--a b\r\n" PART "x\r\n--a b--",
      "[a|:x]." },
    { TYPE, "--XYZ--", "." },
    { TYPE, "", "" },
    { TYPE, "--XYZ\r\n" PART "never ended", "[a|:never ended" },
    // what is wrong
    { "multipart/form-data", "", "?" },
    { "multipart/mixed; boundary=a", "", "?" },
    { "application/json", "", "?" },
    { "multipart/form-data; boundary=", "", "?" },
    { "multipart/form-data; boundary=\"a", "", "?" },
    { "multipart/form-data; boundary=\"a \"", "", "?" },
    { "multipart/form-data; boundary=a\001", "", "?" },
    { "multipart/form-data; boundary="
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "", "?" },
    { TYPE, "--XYZ-\r\n", "!" },
    { TYPE, "--XYZW\r\n" PART, "!" },
    { TYPE, "--XYZ\n" PART, "!" },
    { TYPE, "--XYZ\r\n\r\nx\r\n--XYZ--", "!" },
    { TYPE, "--XYZ\r\nContent-Type: a/b\r\n\r\nx\r\n--XYZ--", "!" },
    { TYPE, "--XYZ\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XYZ--", "!" },
    { TYPE, "--XYZ\r\nContent-Disposition: attachment; name=a\r\n\r\n", "!" },
    { TYPE, "--XYZ\r\nContent-Disposition: form-data; name=\"a\r\n\r\n", "!" },
    { TYPE, "--XYZ\r\nContent-Disposition: form-data; name=\"a\001\"\r\n\r\n", "!" },
    { TYPE, "--XYZ\r\nX: 1\n\r\n", "!" },
};

Test(multipart, reads_every_form_the_same_however_it_is_cut)
{
    struct om_buf log = { 0 };
    for (size_t i = 0; i < OM_COUNT(forms); i++)
        for (size_t step = 1; step <= strlen(forms[i].form) + 1; step++) {
            read_form(forms[i].type, om_str(forms[i].form), step, &log);
            cr_expect_str_eq(log.data, forms[i].log, "%s by %zu: %s", forms[i].form, step,
                             log.data);
        }
    om_buf_finish(&log);
}

Test(multipart, refuses_what_is_over_a_limit)
{
    struct om_buf form = { 0 }, log = { 0 };
    char text[300];
    memset(text, 'a', sizeof(text));

    om_buf_put(&form, "--XYZ\r\n", 7);
    for (int i = 0; i < 10; i++)
        om_buf_put(&form, text, sizeof(text));
    read_form(TYPE, om_buf_str(&form), 1000, &log);
    cr_expect_str_eq(log.data, "!", "header lines");

    om_buf_reset(&form);
    om_buf_put(&form, "--XYZ\r\nContent-Disposition: form-data; name=a; filename=", 57);
    om_buf_put(&form, text, 256);
    om_buf_put(&form, "\r\n\r\n", 4);
    read_form(TYPE, om_buf_str(&form), 1000, &log);
    cr_expect_str_eq(log.data, "!", "a file name");

    om_buf_reset(&form);
    for (int i = 0; i <= OM_MULTIPART_PARTS_MAX; i++)
        om_buf_put(&form, "\r\n--XYZ\r\n" PART, 9 + strlen(PART));
    read_form(TYPE, om_buf_str(&form), 1000, &log);
    cr_expect(log.size > 2 && log.data[log.size - 2] == '!', "parts");
    om_buf_finish(&form);
    om_buf_finish(&log);
}
