-- @view top_words
-- @query category:post type:Posted
create table words (word text primary key, count integer not null) without rowid;
create index words_by_count on words (count desc, word);

-- Without commas and full stops, and only words of four letters or more.
-- @on Posted
insert into words
select value, count(*)
from json_each(
    '[' || replace(json_quote(lower(replace(replace(:data.text, ',', ''), '.', ''))), ' ', '","') || ']'
)
where length(value) > 3
group by value
on conflict (word) do update set count = count + excluded.count;

-- @test words have four letters or more, and no commas
-- @given post-1 Posted {"text":"History, once written, is never rewritten. History is read."}
-- @expect select word, count from words order by count desc, word
-- history | 2
-- never | 1
-- once | 1
-- read | 1
-- rewritten | 1
-- written | 1
