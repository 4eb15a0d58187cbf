#include <criterion/criterion.h>
#include <string.h>

#include "status_page.h"

// A list of records as a field of another.
struct list {
    struct om_buf items, whole;
    size_t count;
};

static void
list_add(struct list *list, const struct rec *type, const void *item)
{
    rec_encode(type, item, &list->items);
    list->count++;
}

static struct om_str
list_end(struct list *list)
{
    om_pack_array(&list->whole, list->count);
    om_buf_put(&list->whole, list->items.data, list->items.size);
    om_buf_finish(&list->items);
    return om_buf_str(&list->whole);
}

static size_t
count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

static struct list days, components, incidents, objectives;
static struct om_buf page;

static void
finish(void)
{
    struct list *lists[] = { &days, &components, &incidents, &objectives };
    for (size_t i = 0; i < OM_COUNT(lists); i++) {
        om_buf_finish(&lists[i]->items);
        om_buf_finish(&lists[i]->whole);
    }
    om_buf_finish(&page);
}

TestSuite(status_page, .fini = finish);

static void
add_day(const char *text, double uptime)
{
    struct status_day day = { 0 };
    REC_SET(&day, status_day, day, om_str(text));
    REC_SET(&day, status_day, uptime, uptime);
    list_add(&days, &status_day_rec, &day);
}

static void
add_component(const char *name)
{
    struct status_component item = { 0 };
    REC_SET(&item, status_component, name, om_str(name));
    REC_SET(&item, status_component, state, OM_LIT("down"));
    REC_SET(&item, status_component, uptime, 0.5);
    REC_SET(&item, status_component, days, list_end(&days));
    list_add(&components, &status_component_rec, &item);
}

// The page of a status of that state, on 2026-11-21.
static const char *
page_of(const char *state)
{
    struct status_get_reply status = { 0 };
    REC_SET(&status, status_get_reply, state, om_str(state));
    REC_SET(&status, status_get_reply, updated_at, 1795278930);
    REC_SET(&status, status_get_reply, components, list_end(&components));
    REC_SET(&status, status_get_reply, objectives, list_end(&objectives));
    REC_SET(&status, status_get_reply, incidents, list_end(&incidents));
    status_page_put(&page, &status);
    om_buf_put(&page, "", 1);
    cr_assert_not(page.failed);
    return page.data;
}

Test(status_page, shows_ninety_days_with_those_that_nobody_looked_at)
{
    add_day("2026-08-23", 0.1); // older than the page shows
    add_day("2026-08-24", 1);   // the oldest it shows
    add_day("2026-11-19", 0.96);
    add_day("2026-11-20", 0.5);
    add_component("broker");
    const char *text = page_of("degraded");
    cr_expect_eq(count_of(text, "<i"), 90, "%s", text);
    cr_expect_eq(count_of(text, "<i></i>"), 87);
    cr_expect(strstr(text, "<div class=\"days\"><i class=\"good\" title=\"2026-08-24: "
                           "100.00 %\"></i><i></i>"),
              "%s", text);
    cr_expect(strstr(text, "<i class=\"part\" title=\"2026-11-19: 96.00 %\"></i>"
                           "<i class=\"bad\" title=\"2026-11-20: 50.00 %\"></i>"
                           "<i></i></div>"),
              "%s", text);
}

Test(status_page, says_its_state_in_words)
{
    static const struct {
        const char *state, *words;
    } cases[] = {
        { "operational", "<h1 class=\"operational\">All systems operational</h1>" },
        { "degraded", "<h1 class=\"degraded\">Some systems are down</h1>" },
        { "outage", "<h1 class=\"outage\">Outage: requests are not served</h1>" },
        { "unknown", "<h1 class=\"unknown\">Unknown: nothing was looked at lately</h1>" },
        { "of-a-later", "<h1 class=\"of-a-later\">of-a-later</h1>" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        const char *text = page_of(cases[i].state);
        cr_expect(strstr(text, cases[i].words), "%s", text);
        cr_expect(strstr(text, "<p>None.</p>"), "without incidents");
        finish();
        components = objectives = incidents = (struct list){ 0 };
    }
}

Test(status_page, escapes_whatever_it_was_told)
{
    add_component("<script>\"&");
    struct status_incident incident = { 0 };
    REC_SET(&incident, status_incident, component, OM_LIT("<b>x"));
    REC_SET(&incident, status_incident, began_at, 1795278930);
    list_add(&incidents, &status_incident_rec, &incident);
    const char *text = page_of("\"><img>");
    cr_expect_null(strstr(text, "<script>"));
    cr_expect_null(strstr(text, "<img>"));
    cr_expect(strstr(text, "&lt;script&gt;&quot;&amp;"), "%s", text);
    cr_expect(strstr(text, "<td>&lt;b&gt;x</td><td>2026-11-21 16:35 UTC</td>"
                           "<td><span class=\"no\">not over</span></td>"),
              "%s", text);
}

Test(status_page, leaves_out_what_is_not_a_record)
{
    struct status_get_reply status = { 0 };
    REC_SET(&status, status_get_reply, state, OM_LIT("operational"));
    REC_SET(&status, status_get_reply, components, OM_LIT("\x93\x01\xc0\xff"));
    REC_SET(&status, status_get_reply, incidents, OM_LIT("\xdd\xff\xff\xff\xff"));
    status_page_put(&page, &status);
    cr_expect(page.size > 0 && !page.failed);
}
