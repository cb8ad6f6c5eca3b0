-- @view top_words
-- @query category:post type:Posted
create table words (word text primary key, count integer not null) without rowid;
create index words_by_count on words (count desc, word);

-- A JSON list is made of the text, and the list becomes rows.
-- @on Posted
insert into words
select value, count(*)
from json_each('[' || replace(json_quote(lower(:data.text)), ' ', '","') || ']')
where value <> ''
group by value
on conflict (word) do update set count = count + excluded.count;

-- @test words are what stands between blanks
-- @given post-1 Posted {"text":"To be, or not to \"be\""}
-- @given post-1 Posted {"text":"to  be"}
-- @expect select word, count from words order by count desc, word
-- to | 3
-- "be" | 1
-- be | 1
-- be, | 1
-- not | 1
-- or | 1
