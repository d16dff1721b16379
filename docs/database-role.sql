-- A role that can read what vod2strmfs reads, and nothing else: the accounts' passwords stay out of its reach.
-- Run as the database's owner:  psql -d dispatcharr -f database-role.sql
-- and choose the password:      \password vod2strmfs
-- Running it again does no harm. On a Dispatcharr before v0.29 some lines may fail: take out is_adult; before v0.20
-- series_relation_id as well; there are no logos before v0.12.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vod2strmfs') THEN
        CREATE ROLE vod2strmfs LOGIN;
    END IF;
END $$;
ALTER ROLE vod2strmfs SET default_transaction_read_only = on;

GRANT SELECT (id, uuid, name, description, year, rating, genre, duration_secs, tmdb_id, imdb_id, is_adult, logo_id, custom_properties, created_at, xmin) ON vod_movie TO vod2strmfs;
GRANT SELECT (id, uuid, name, description, year, rating, genre, tmdb_id, imdb_id, logo_id, custom_properties, created_at, xmin) ON vod_series TO vod2strmfs;
GRANT SELECT (id, uuid, series_id, name, description, air_date, rating, duration_secs, season_number, episode_number, tmdb_id, imdb_id, custom_properties, created_at, xmin) ON vod_episode TO vod2strmfs;
GRANT SELECT (id, url, xmin) ON vod_vodlogo TO vod2strmfs;
GRANT SELECT (id, name) ON vod_vodcategory TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, movie_id, category_id, stream_id, container_extension, custom_properties, xmin) ON vod_m3umovierelation TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, series_id, category_id, external_series_id, custom_properties, xmin) ON vod_m3useriesrelation TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, episode_id, series_relation_id, stream_id, container_extension, custom_properties, xmin) ON vod_m3uepisoderelation TO vod2strmfs;
GRANT SELECT (m3u_account_id, category_id, enabled) ON vod_m3uvodcategoryrelation TO vod2strmfs;
GRANT SELECT (id, name, is_active, priority) ON m3u_m3uaccount TO vod2strmfs;

-- Columns that a later Dispatcharr may have, and what it may say of categories:
DO $$ DECLARE vod_table text; vod_column text; BEGIN
    FOR vod_table, vod_column IN SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND (table_name, column_name) IN (('vod_movie', 'language'),
            ('vod_series', 'language'), ('vod_m3uvodcategoryrelation', 'custom_properties'))
    LOOP EXECUTE format('GRANT SELECT (%I) ON %I TO vod2strmfs', vod_column, vod_table); END LOOP;
END $$;

-- Only for the setting direct_urls, which writes the provider's own URLs, passwords included:
-- GRANT SELECT (server_url, username, password, account_type) ON m3u_m3uaccount TO vod2strmfs;
